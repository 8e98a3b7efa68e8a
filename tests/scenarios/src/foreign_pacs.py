"""A PACS with chosen manners: PORT FOLDER MANNERS, the last as JSON.

    syntaxes     transfer syntaxes that it takes; all that it knows without this
    only         it takes storage classes of this text only
    refuse       status by SOP Instance UID
    warn         status of everything that it stores
    room         so many instances fit in, until the file `room` is there
    breaks_at    it aborts the association when this instance comes
    slow         seconds that storing takes
    most         associations at a time
    find         whether it may be asked what it has
    late         it lists an instance only so many seconds after it was stored
    commitment   "new": it commits, and reports on an association that it opens to `report_to` (port and AE title)
                 "never": it says that it will report, and does not, until the file `report` is there
    lost         SOP Instance UIDs that it does not commit to

What it was given is in FOLDER/given.txt: name, transfer syntax, SHA-256 of the data set, one line each.
"""

import hashlib
import io
import json
import pathlib
import sys
import threading
import time

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind

port, folder, manners = int(sys.argv[1]), pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
lock = threading.Lock()
# By name: study, series, class, when.
kept = {}
at_once = [0, 0]


def say(*words):
    print(*words, flush=True)


def note(line):
    with open(folder / "given.txt", "a") as file:
        file.write(line + "\n")


def store(event):
    request = event.request
    name = str(request.AffectedSOPInstanceUID)
    data_set = request.DataSet.getvalue()
    if manners.get("breaks_at") == name:
        say("breaks off at", name)
        event.assoc.abort()
        return 0xC000
    time.sleep(manners.get("slow", 0))
    refused = manners.get("refuse", {}).get(name)
    if refused is not None:
        say("refused", name)
        return refused
    with lock:
        if len(kept) >= manners.get("room", 1 << 30) and not (folder / "room").exists():
            say("full")
            return 0xA700
        syntax = event.context.transfer_syntax
        whole = pydicom.filereader.read_dataset(
            io.BytesIO(data_set), syntax.is_implicit_VR, syntax.is_little_endian, stop_when=lambda tag, *_: tag > 0x0020000E
        )
        # What is not in memory any more after a crash was given all the same.
        kept[name] = (str(whole.StudyInstanceUID), str(whole.SeriesInstanceUID), str(request.AffectedSOPClassUID), time.time())
        note(f"{name} {syntax} {hashlib.sha256(data_set).hexdigest()}")
        (folder / "kept.new").write_text(json.dumps(kept))
        (folder / "kept.new").rename(folder / "kept.json")
    return manners.get("warn", 0x0000)


def find(event):
    asked = event.identifier
    say("asked for", asked.QueryRetrieveLevel)
    seen = set()
    with lock:
        all_kept = dict(kept)
    for name, (study, series, class_, since) in all_kept.items():
        if study != asked.StudyInstanceUID or time.time() < since + manners.get("late", 0):
            continue
        level = asked.QueryRetrieveLevel
        if level == "IMAGE" and asked.get("SeriesInstanceUID") not in (None, "", series):
            continue
        key = {"STUDY": study, "SERIES": series, "IMAGE": name}[level]
        if key in seen:
            continue
        seen.add(key)
        answer = Dataset()
        answer.QueryRetrieveLevel = level
        answer.StudyInstanceUID = study
        if level != "STUDY":
            answer.SeriesInstanceUID = series
        if level == "IMAGE":
            answer.SOPInstanceUID, answer.SOPClassUID = name, class_
        yield 0xFF00, answer


def report(asked):
    while manners["commitment"] == "never" and not (folder / "report").exists():
        time.sleep(0.1)
    time.sleep(0.3)
    to_port, to_title = manners["report_to"]
    answer = Dataset()
    answer.TransactionUID = asked.TransactionUID
    answer.ReferencedSOPSequence, answer.FailedSOPSequence = [], []
    for item in asked.ReferencedSOPSequence:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID
        name = str(item.ReferencedSOPInstanceUID)
        if name in kept and name not in manners.get("lost", []):
            answer.ReferencedSOPSequence.append(one)
        else:
            one.FailureReason = 0x0112
            answer.FailedSOPSequence.append(one)
    kind = 2 if answer.FailedSOPSequence else 1
    if not answer.FailedSOPSequence:
        del answer.FailedSOPSequence
    caller = AE(ae_title="PACS_ZUID")
    caller.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    association = caller.associate("127.0.0.1", to_port, ae_title=to_title, ext_neg=[role])
    if not association.is_established:
        say("cannot report")
        return
    status, _ = association.send_n_event_report(answer, kind, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    say("reported %04X" % status.Status, len(asked.ReferencedSOPSequence))
    association.release()


def commit(event):
    asked = event.action_information
    say("asked to commit to", len(asked.ReferencedSOPSequence))
    threading.Thread(target=report, args=(asked,), daemon=True).start()
    return 0x0000, None


def counts(by):
    def count(event):
        with lock:
            at_once[0] += by
            at_once[1] = max(at_once)
            say("associations", at_once[0], "most", at_once[1])

    return count


def main():
    if (folder / "kept.json").exists():
        kept.update(json.loads((folder / "kept.json").read_text()))
    ae = AE(ae_title="PACS_ZUID")
    ae.maximum_associations = manners.get("most", 20)
    for context in AllStoragePresentationContexts:
        if manners.get("only", "") in context.abstract_syntax.name:
            ae.add_supported_context(context.abstract_syntax, manners.get("syntaxes", ALL_TRANSFER_SYNTAXES))
    if manners.get("find"):
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    if manners.get("commitment"):
        ae.add_supported_context(StorageCommitmentPushModel)
    ae.start_server(
        ("127.0.0.1", port),
        evt_handlers=[
            (evt.EVT_C_STORE, store),
            (evt.EVT_C_FIND, find),
            (evt.EVT_N_ACTION, commit),
            (evt.EVT_ACCEPTED, counts(1)),
            (evt.EVT_RELEASED, counts(-1)),
            (evt.EVT_ABORTED, counts(-1)),
        ],
    )


main()
