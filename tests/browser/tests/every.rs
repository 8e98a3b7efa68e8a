//! Every page in both languages, both colour schemes and two widths: `lib/every.mjs` says what must be so.

use beeldbox_browser::browser::Browser;
use beeldbox_browser::one_box::OneBox;

#[tokio::test]
async fn every_page_is_accessible_fits_and_complains_about_nothing() {
    let browser = Browser::find().unwrap_or_else(|error| panic!("{error}"));
    let one = OneBox::open().await.unwrap_or_else(|error| panic!("{error:#}"));
    let described = one.described(&browser.chromium);
    let played = match one.folder("browser") {
        Ok(folder) => browser.play(&described, &folder, &["--every"]).await,
        Err(error) => Err(error),
    };
    one.close(played.is_ok());
    played.unwrap_or_else(|error| panic!("{error:#}"));
}
