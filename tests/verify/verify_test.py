#!/usr/bin/env python3
"""orgtrail verify over a delivered trail, with one kind of damage a case.

The trail is made once (make_delivered) and copied for each case. What only whoever has the private
key can do is made with --flaw.
"""

import base64
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.kit import cases  # noqa: E402

PROGRAM = os.path.join(ROOT, "cli/orgtrail")
MAKE = os.path.join(ROOT, "tests/verify/make_delivered")
DATA = os.path.join(ROOT, "tests/data")
WORK = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
HOUR = 3600
END = int(time.time()) // HOUR * HOUR - 2 * HOUR
DIGESTS = 6
# A digest may come a quarter of its interval late; the newest is not overdue then.
UNTIL = END + 20 * 60


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def make(name, *options, accounts=1, regions=1, end=END):
    out = os.path.join(WORK, name)
    subprocess.run(
        [MAKE, "--data", DATA, "--out", out, "--end", str(end), "--accounts", str(accounts),
         "--regions", str(regions), "--digests", str(DIGESTS), *options],
        check=True, stdout=subprocess.DEVNULL,
    )
    return Delivered(out)


class Delivered:
    """A delivered trail: OUT/buckets/trail-bucket/... and OUT/keys.json."""

    def __init__(self, out):
        self.out = out
        self.buckets = os.path.join(out, "buckets")
        self.bucket = os.path.join(self.buckets, "trail-bucket")
        self.keys = os.path.join(out, "keys.json")
        self.digests = self.find("CloudTrail-Digest")
        self.logs = self.find("CloudTrail")

    def find(self, kind):
        return sorted(glob.glob(f"{self.bucket}/**/{kind}/**/*.json.gz", recursive=True))

    def copy(self):
        out = tempfile.mkdtemp(dir=WORK)
        shutil.copytree(self.buckets, os.path.join(out, "buckets"))
        shutil.copy(self.keys, out)
        return Delivered(out)

    def chain(self, place=0):
        """The digests of one account and region, oldest first."""
        folders = sorted({os.path.dirname(re.sub(r"/\d{4}/\d\d/\d\d/", "//", path))
                          for path in self.digests})
        names = [path for path in self.digests
                 if os.path.dirname(re.sub(r"/\d{4}/\d\d/\d\d/", "//", path)) == folders[place]]
        return sorted(names, key=os.path.basename)

    def logs_of(self, digest):
        return [os.path.join(self.buckets, file["s3Bucket"], file["s3Object"])
                for file in read(digest)["logFiles"]]

    def place(self):
        """What is verified; s3_test.py has it elsewhere."""
        return self.buckets

    def verify(self, *options, folder=None, keys=True, to=UNTIL):
        """(exit code, report) of --json."""
        command = [PROGRAM, "verify", folder or self.place(), "--json", *options]
        command += ["--keys", self.keys] if keys else []
        command += ["--to", moment(to)] if to else []
        run = subprocess.run(command, capture_output=True, text=True)
        if not run.stdout:
            return run.returncode, run.stderr
        report = json.loads(run.stdout)
        # The counts are of what is listed, and the exit code is theirs.
        weights = [finding["weight"] for finding in report["findings"]]
        assert weights.count("fault") == report["counts"]["faults"], report["counts"]
        assert report["whole"] == (run.returncode == 0), (run.returncode, report)
        return run.returncode, report


def read(path):
    with gzip.open(path) as file:
        return json.load(file)


def write(path, text):
    with open(path, "wb") as file:
        file.write(gzip.compress(text, mtime=0))


def metadata_of(path):
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.metadata")


def remove(path):
    os.remove(path)
    if os.path.exists(metadata_of(path)):
        os.remove(metadata_of(path))


def kinds(report):
    return sorted(report["found"])


def only(report, kind):
    found = [finding for finding in report["findings"] if finding["kind"] == kind]
    assert len(found) == 1, (kind, found)
    return found[0]


WHOLE = make("whole", accounts=2, regions=2)


def expect(delivered, *wanted, code=1, **options):
    got, report = delivered.verify(**options)
    assert got == code and kinds(report) == sorted(wanted), (got, report)
    return report


# ---- whole


def test_whole():
    report = expect(WHOLE, code=0)
    counts = report["counts"]
    assert counts["digests"] == counts["digestsGood"] == 4 * DIGESTS, counts
    assert counts["logFiles"] == counts["logFilesGood"] == 4 * DIGESTS * 3, counts
    assert (counts["accounts"], counts["regions"], counts["chains"]) == (2, 4, 4), counts
    # Not a byte was written.
    assert report == WHOLE.verify()[1] | {"at": report["at"]}


def test_whole_whatever_the_threads():
    one = WHOLE.verify("--threads", "1")[1]
    many = WHOLE.verify("--threads", "16")[1]
    assert one["chains"] == many["chains"] and one["counts"] == many["counts"]


def test_compressed_anew_is_whole():
    damaged = WHOLE.copy()
    with gzip.open(damaged.logs[0]) as file:
        text = file.read()
    with open(damaged.logs[0], "wb") as file:
        file.write(gzip.compress(text, compresslevel=1))
    expect(damaged, code=0)


def test_backfill_covers_an_outage():
    delivered = make("backfill", "--flaw", "backfill")
    report = expect(delivered, code=0)
    assert report["counts"]["backfillDigestsGood"] == 1, report["counts"]
    assert report["counts"]["digestsGood"] == DIGESTS - 1, report["counts"]
    # Without it the time is covered by nothing, and its files are named by none.
    backfill = [path for path in delivered.digests if "_backfill" in path]
    remove(backfill[0])
    expect(delivered, "time-gap", "unnamed")


def test_restart_is_told():
    report = expect(make("restart", "--flaw", "restart"), "restarted", code=0)
    assert only(report, "restarted")["weight"] == "note"


def test_two_trails_in_one_bucket():
    both = make("two", "--trail", "other_trail_name")
    whole = make("one")
    shutil.copytree(whole.bucket, both.bucket, dirs_exist_ok=True)
    both = Delivered(both.out)
    code, report = both.verify("--keys", whole.keys)
    assert code == 0 and report["counts"]["chains"] == 2, report
    # One of them alone: what the other one names is no stray file.
    code, report = both.verify("--keys", whole.keys, "--trail", "other_trail_name")
    assert code == 0 and report["counts"]["chains"] == 1, report
    assert [chain["trail"] for chain in report["chains"]] == ["other_trail_name"], report


# ---- log files


def test_log_changed():
    damaged = WHOLE.copy()
    with gzip.open(damaged.logs[4]) as file:
        text = file.read()
    write(damaged.logs[4], text.replace(b"eventName", b"eventNamf", 1))
    finding = only(expect(damaged, "log-changed"), "log-changed")
    assert damaged.logs[4].endswith(finding["object"]), finding
    assert finding["meaning"] and finding["detail"] and finding["account"] and finding["region"]


def test_member_appended():
    damaged = WHOLE.copy()
    with open(damaged.logs[0], "ab") as file:
        file.write(gzip.compress(b'{"Records":[]}'))
    expect(damaged, "log-changed")


def test_log_missing():
    damaged = WHOLE.copy()
    os.remove(damaged.logs[5])
    finding = only(expect(damaged, "log-missing"), "log-missing")
    assert damaged.logs[5].endswith(finding["object"]), finding


def test_log_cut_short():
    damaged = WHOLE.copy()
    os.truncate(damaged.logs[0], os.path.getsize(damaged.logs[0]) - 9)
    expect(damaged, "log-damaged")


def test_log_is_no_gzip():
    damaged = WHOLE.copy()
    with open(damaged.logs[0], "wb") as file:
        file.write(b"{}")
    expect(damaged, "log-damaged")


def test_log_put_there():
    damaged = WHOLE.copy()
    log = WHOLE.logs[0]
    name = os.path.join(os.path.dirname(log), os.path.basename(log)[:-24] + "0123456789abcdef.json.gz")
    write(name.replace(WHOLE.out, damaged.out), b'{"Records":[]}')
    finding = only(expect(damaged, "unnamed"), "unnamed")
    assert name.endswith(finding["object"]), finding


def test_other_files_put_there():
    damaged = WHOLE.copy()
    write(os.path.join(os.path.dirname(damaged.logs[0]), "notes.txt"), b"x")
    write(os.path.join(os.path.dirname(damaged.digests[0]), "copy.json.gz"), b"x")
    write(os.path.join(os.path.dirname(damaged.logs[0]), "../../../x.json.gz"), b"x")
    report = expect(damaged, "unnamed")
    assert report["found"]["unnamed"] == 3, report


def test_newest_logs_wait_for_their_digest():
    damaged = WHOLE.copy()
    log = damaged.logs[0]
    region = re.sub(r"\d{4}/\d\d/\d\d/.*", "", log)
    stamp = time.strftime("%Y%m%dT%H%MZ", time.gmtime(END + 300))
    folder = os.path.join(region, time.strftime("%Y/%m/%d", time.gmtime(END + 300)))
    os.makedirs(folder, exist_ok=True)
    name = re.sub(r"\d{8}T\d{4}Z", stamp, os.path.basename(log))
    write(os.path.join(folder, name), b'{"Records":[]}')
    assert expect(damaged, code=0)["counts"]["logFilesWaiting"] == 1


# ---- digests


def test_digest_changed():
    damaged = WHOLE.copy()
    digest = damaged.chain()[2]
    document = read(digest)
    gone = document["logFiles"].pop()
    write(digest, json.dumps(document).encode())
    report = expect(damaged, "digest-changed", "unnamed")
    assert digest.endswith(only(report, "digest-changed")["object"])
    assert only(report, "unnamed")["object"] == gone["s3Object"]


def test_digest_without_signature():
    damaged = WHOLE.copy()
    os.remove(metadata_of(damaged.chain()[2]))
    expect(damaged, "digest-unsigned")


def test_digest_damaged():
    for text in (b"{}", b"no json", b'{"awsAccountId":1}', b""):
        damaged = WHOLE.copy()
        write(damaged.chain()[2], text)
        report = expect(damaged, "digest-damaged", "unproven")
        assert only(report, "unproven")["count"] == 3, report


def test_digest_in_place_of_another():
    damaged = WHOLE.copy()
    chain = damaged.chain()
    for path in (lambda name: name, metadata_of):
        shutil.copy(path(chain[1]), path(chain[3]))
    report = expect(damaged, "digest-misplaced", "digests-missing", "unproven")
    assert only(report, "digests-missing")["count"] == 1, report


def test_digest_copied_to_a_later_name():
    damaged = WHOLE.copy()
    newest = damaged.chain()[-1]
    name = re.sub(r"\d{8}T\d{6}Z", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(END + 600)),
                  os.path.basename(newest))
    copy = os.path.join(os.path.dirname(newest), name)
    shutil.copy(newest, copy)
    shutil.copy(metadata_of(newest), metadata_of(copy))
    expect(damaged, "digest-misplaced")


def test_digest_missing():
    damaged = WHOLE.copy()
    chain = damaged.chain()
    remove(chain[2])
    report = expect(damaged, "digests-missing", "unproven")
    finding = only(report, "digests-missing")
    assert finding["count"] == 1 and chain[2].endswith(finding["object"]), finding
    assert (finding["from"], finding["to"]) == (moment(END - 4 * HOUR), moment(END - 3 * HOUR))
    assert only(report, "unproven")["count"] == 3, report


def test_run_of_digests_missing():
    damaged = WHOLE.copy()
    for digest in damaged.chain()[1:4]:
        for log in damaged.logs_of(digest):
            os.remove(log)
        remove(digest)
    assert only(expect(damaged, "digests-missing"), "digests-missing")["count"] == 3


def test_oldest_digest_missing():
    damaged = WHOLE.copy()
    remove(damaged.chain()[0])
    report = expect(damaged, "digests-missing", "unproven")
    assert "oldest" in only(report, "digests-missing")["detail"]


def test_newest_digests_missing():
    for missing in (1, 3):
        damaged = WHOLE.copy()
        for digest in damaged.chain()[-missing:]:
            for log in damaged.logs_of(digest):
                os.remove(log)
            remove(digest)
        finding = only(expect(damaged, "chain-ends"), "chain-ends")
        assert finding["count"] == missing, finding
        assert finding["from"] == moment(END - missing * HOUR), finding


def test_no_digest_since_long():
    """Without --to there must be digests until now."""
    code, report = WHOLE.verify(to=None)
    assert code == 1 and kinds(report) == ["chain-ends"], report
    assert report["found"]["chain-ends"] == 4, report


def test_all_digests_missing():
    damaged = WHOLE.copy()
    for digest in damaged.chain():
        remove(digest)
    report = expect(damaged, "no-digests")
    assert only(report, "no-digests")["count"] == DIGESTS * 3, report


def test_signed_with_other_keys():
    other = make("other")
    code, report = WHOLE.verify("--keys", other.keys, keys=False)
    assert code == 1 and report["counts"]["digestsGood"] == 0, report
    assert "digest-changed" in kinds(report), report


def test_flaws_of_whoever_signs():
    for flaw, kind in (
        ("link-hash", "link-hash"),
        ("link-signature", "link-signature"),
        ("link-fork", "digest-double"),
        ("time-gap", "time-gap"),
        ("overlap", "digest-double"),
        ("key-unknown", "key-unknown"),
        ("key-outdated", "key-outdated"),
    ):
        report = expect(make(f"flaw-{flaw}", "--flaw", flaw), kind)
        assert report["found"][kind] == 1, (flaw, report)


# ---- what was there before


def test_rolled_back_to_an_older_copy():
    older = WHOLE.copy()
    report = os.path.join(WORK, "report.json")
    with open(report, "w", encoding="utf-8") as file:
        json.dump(WHOLE.verify()[1], file)
    for place in range(4):
        for digest in older.chain(place)[-2:]:
            for log in older.logs_of(digest):
                os.remove(log)
            remove(digest)
    then = END - 2 * HOUR + 20 * 60
    # Of itself the older copy is whole.
    assert older.verify(to=then)[0] == 0
    code, found = older.verify("--since-report", report, to=then)
    assert code == 1 and found["found"] == {"rolled-back": 4}, found
    assert WHOLE.verify("--since-report", report)[0] == 0


def test_chain_gone():
    gone = WHOLE.copy()
    report = os.path.join(WORK, "report-gone.json")
    with open(report, "w", encoding="utf-8") as file:
        json.dump(WHOLE.verify()[1], file)
    region = re.sub(r"/\d{4}/\d\d/\d\d/.*", "", gone.chain(0)[0])
    shutil.rmtree(region)
    shutil.rmtree(region.replace("CloudTrail-Digest", "CloudTrail"))
    assert gone.verify()[0] == 0
    code, found = gone.verify("--since-report", report)
    assert code == 1 and kinds(found) == ["chain-gone"], found
    # Accounts and regions that are not asked for are not missed.
    account = region.split("/")[-3]
    other = next(chain["account"] for chain in found["chains"] if chain["account"] != account)
    assert gone.verify("--since-report", report, "--account", other)[0] == 0


def test_all_made_anew():
    """Whoever has the keys' place can sign everything anew; an earlier report knows better."""
    first, second = make("first"), make("second")
    report = os.path.join(WORK, "report-first.json")
    with open(report, "w", encoding="utf-8") as file:
        json.dump(first.verify()[1], file)
    code, found = second.verify("--since-report", report)
    assert code == 1 and kinds(found) == ["digest-replaced"], found


# ---- ranges and places


def test_begins_in_the_middle():
    delivered = make("middle", "--start-digest", "no")
    report = expect(delivered, "digests-missing")
    assert "oldest" in only(report, "digests-missing")["detail"], report
    code, report = delivered.verify("--from", moment(END - DIGESTS * HOUR))
    assert code == 0, report


def test_range():
    damaged = WHOLE.copy()
    os.remove(damaged.logs_of(damaged.chain()[1])[0])
    late = ("--from", moment(END - 3 * HOUR))
    code, report = damaged.verify(*late)
    assert code == 0 and report["counts"]["digests"] == 4 * 3, report
    code, report = damaged.verify(to=END - 5 * HOUR)
    assert code == 0 and report["counts"]["digests"] == 4, report
    code, report = damaged.verify("--from", moment(END - 5 * HOUR), to=END - 4 * HOUR)
    assert code == 1 and kinds(report) == ["log-missing"], report


def test_account_and_region():
    damaged = WHOLE.copy()
    os.remove(damaged.logs_of(damaged.chain()[1])[0])
    chains = damaged.verify()[1]["chains"]
    accounts = sorted({chain["account"] for chain in chains})
    regions = sorted({chain["region"] for chain in chains})
    codes = {
        (account, region): damaged.verify("--account", account, "--region", region)[0]
        for account in accounts for region in regions
    }
    assert sorted(codes.values()) == [0, 0, 0, 1], codes


def test_folders():
    prefixed = make("prefixed", "--prefix", "deep/prefix")
    assert prefixed.verify()[0] == 0
    assert prefixed.verify("--bucket", "trail-bucket", folder=prefixed.bucket)[0] == 0
    # The folder of a bucket, by its own name and by another one.
    assert WHOLE.verify(folder=WHOLE.bucket)[0] == 0
    assert WHOLE.verify(folder=WHOLE.bucket + "/")[0] == 0
    renamed = WHOLE.copy()
    other = os.path.join(renamed.out, "copied")
    os.rename(renamed.bucket, other)
    code, report = renamed.verify(folder=other)
    assert code == 1 and "digest-misplaced" in kinds(report), report
    assert renamed.verify("--bucket", "trail-bucket", folder=other)[0] == 0


# ---- what cannot be verified


def test_nothing_found():
    empty = os.path.join(WORK, "empty")
    os.makedirs(empty)
    code, report = WHOLE.verify(folder=empty)
    assert code == 1 and kinds(report) == ["nothing-found"], report
    code, report = WHOLE.verify("--account", "000000000000")
    assert code == 1 and kinds(report) == ["nothing-found"], report
    code, report = WHOLE.verify("--from", "2020-01-01", to=1577923200)
    assert code == 1 and kinds(report) == ["nothing-found"], report


def test_refused():
    bad = os.path.join(WORK, "bad.json")
    with open(bad, "w", encoding="utf-8") as file:
        file.write('{"PublicKeyList":[{"Fingerprint":"1","Value":"!"}]}')
    for options, text in (
        (("--keys", WHOLE.keys, "--bucket"), "requires an argument"),
        (("--keys", os.path.join(WORK, "none.json")), "No such file"),
        (("--keys", bad), "not base64"),
        ((), "which keys"),
        (("--since-report", WHOLE.keys, "--keys", WHOLE.keys), "no report"),
        (("--from", "yesterdy", "--keys", WHOLE.keys), "--from"),
        (("--from", "2026-01-02", "--to", "2026-01-01", "--keys", WHOLE.keys), "empty"),
        (("--threads", "0", "--keys", WHOLE.keys), "--threads"),
    ):
        run = subprocess.run([PROGRAM, "verify", WHOLE.buckets, *options], capture_output=True, text=True)
        assert run.returncode == 2 and text in run.stderr and not run.stdout, (options, run)
    code, text = WHOLE.verify(folder=os.path.join(WORK, "nowhere"))
    assert code == 2 and "no such folder" in text, text
    run = subprocess.run([PROGRAM, "verify", "--keys", WHOLE.keys], capture_output=True, text=True)
    assert run.returncode == 2 and "FOLDER is missing" in run.stderr, run


# ---- for people


def test_text():
    damaged = WHOLE.copy()
    for log in damaged.logs[:12]:
        os.remove(log)
    run = subprocess.run(
        [PROGRAM, "verify", damaged.buckets, "--keys", damaged.keys, "--to", moment(UNTIL)],
        capture_output=True, text=True,
    )
    assert run.returncode == 1 and run.stderr == "", run
    assert "FAULT log file missing (12): account " in run.stdout, run.stdout
    assert "and 2 more of this kind here: --json has them" in run.stdout, run.stdout
    assert "60 of 72 log files good, 12 not" in run.stdout, run.stdout
    assert run.stdout.endswith("NOT WHOLE: 12 faults\n"), run.stdout
    run = subprocess.run(
        [PROGRAM, "verify", WHOLE.buckets, "--keys", WHOLE.keys, "--to", moment(UNTIL)],
        capture_output=True, text=True,
    )
    assert run.returncode == 0 and run.stdout.endswith("72 of 72 log files good\nWhole\n"), run


def test_keys_as_pem_and_der():
    with open(WHOLE.keys, encoding="utf-8") as file:
        keys = [base64.b64decode(key["Value"]) for key in json.load(file)["PublicKeyList"]]
    der, pem = os.path.join(WORK, "key.der"), os.path.join(WORK, "key.pem")
    with open(der, "wb") as file:
        file.write(keys[0])
    with open(pem, "w", encoding="ascii") as file:
        file.write("-----BEGIN RSA PUBLIC KEY-----\n" + base64.encodebytes(keys[1]).decode()
                   + "-----END RSA PUBLIC KEY-----\n")
    assert WHOLE.verify("--keys", der, "--keys", pem, keys=False)[0] == 0
    assert WHOLE.verify("--keys", der, keys=False)[0] == 1


if __name__ == "__main__":
    try:
        cases.run("verify", globals())
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
