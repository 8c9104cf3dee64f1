#!/usr/bin/env python3
"""Certificates of a running organization: reloaded, replaced, denied, expired."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402


def make_organization(**options):
    organization = flow.Organization(accounts=[SHOP], management=OWNER, **options)
    organization.start_collector()
    return organization


def hang_up(program):
    program.process.send_signal(signal.SIGHUP)


def count(program, word):
    return sum(word in line for line in program.log(whole=True).splitlines())


def wait_count(program, word, number):
    flow.wait_until(
        lambda: f"{word!r} {number} times in {program.log(whole=True)[-2000:]}",
        lambda: count(program, word) >= number,
    )
    assert count(program, word) == number, program.log(whole=True)


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def write(content, *path):
    with open(os.path.join(*path), "wb") as file:
        file.write(content)


def certificate_events(organization, change):
    found = organization.own_events("CertificateChanged")
    details = [event["serviceEventDetails"] for event in found]
    return [detail for detail in details if detail["change"] == change]


def wait_certificate_event(organization, change):
    return flow.wait_until(
        f"CertificateChanged {change}", lambda: certificate_events(organization, change)
    )[0]


def test_collector_takes_new_certificate_and_keeps_streams():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        organization.run("enroll", organization.folder, "--server")
        hang_up(organization.collector)
        organization.collector.wait_for_message("certificates and deny list reloaded")
        told = wait_certificate_event(organization, "collector")
        assert re.fullmatch("SIGHUP of uid [0-9]+", told["by"]), told
        assert re.fullmatch("[0-9a-f]{64}", told["fingerprint"]), told
        assert told["notAfter"].endswith("Z"), told
        agent.append(make_range(11, 20))
        organization.wait_received(20)
        # The stream that was open went on; another agent meets the new certificate.
        assert count(agent, "session ended") == 0
        other = organization.enroll("-a", SHOP, "-g", "other")
        other.append(make_range(21, 30))
        organization.wait_received(30)
        assert count(organization.collector, '"stream ended"') == 0


def test_collector_keeps_old_files_when_new_ones_are_broken():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        folder = os.path.join(organization.folder, "collector")
        ca = os.path.join(organization.folder, "collector/ca.pem")
        good = {name: read(folder, name) for name in ("ca.pem", "collector.pem", "collector.key")}
        agent_pem = read(agent.folder, "agent.pem")
        broken = [
            ("collector.pem", b"nothing", "collector.pem: certificate: "),
            ("collector.pem", agent_pem, "collector.pem: the key and the certificate do not"),
            ("collector.key", b"nothing", "collector.pem: key: "),
            ("ca.pem", good["ca.pem"][:200], "ca.pem: CA: certificate 1 of it"),
        ]
        for index, (name, content, said) in enumerate(broken):
            write(content, folder, name)
            hang_up(organization.collector)
            wait_count(organization.collector, "not reloaded: the old ones stay", index + 1)
            assert said in organization.collector.log(), (said, organization.collector.log())
            write(good[name], folder, name)
        assert os.path.exists(ca)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        late = organization.enroll("-a", SHOP, "-g", "late")
        late.append(make_range(11, 20))
        organization.wait_received(20)
        assert count(agent, "session ended") == 0


def test_agent_takes_new_certificate_and_keeps_its_spool():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        old = read(agent.folder, "agent.pem")
        organization.run("enroll", organization.folder, "-a", SHOP, "--renew")
        assert read(agent.folder, "agent.pem") != old
        hang_up(agent)
        agent.wait_for_message('"certificates taken"')
        agent.append(make_range(11, 20))
        organization.wait_received(20)
        status = organization.agent_status(agent)
        assert status["streams"] == 1, status
        assert status["duplicates"] == 0, status
        # Again, with nothing new: nothing happens.
        sessions = count(agent, '"session begun"')
        hang_up(agent)
        agent.wait_for_message('"certificates unchanged"')
        assert count(agent, '"session begun"') == sessions


def test_agent_keeps_the_old_certificate_if_the_new_one_is_no_good():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        other = organization.enroll("-a", SHOP, "-g", "other", is_started=False)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        good = {name: read(agent.folder, name) for name in ("agent.pem", "agent.key")}

        write(b"nothing", agent.folder, "agent.pem")
        hang_up(agent)
        wait_count(agent, "certificates not taken: the old ones stay", 1)

        # Another agent's: it would begin to speak for somebody else.
        for name in good:
            write(read(other.folder, name), agent.folder, name)
        hang_up(agent)
        wait_count(agent, "certificates not taken: the old ones stay", 2)
        assert "is made out to spiffe://" in agent.log()

        # Its own, but the collector refuses it: only asking shows that.
        for name, content in good.items():
            write(content, agent.folder, name)
        organization.run("enroll", organization.folder, "-a", SHOP, "--renew", "--days", "1h")
        serial = read_serial(agent)
        deny(organization, f"{serial}  mistaken\n")
        hang_up(agent)
        wait_count(agent, "certificates not taken: the old ones stay", 3)
        assert f"the collector's deny list has it, by its name {agent.uri} or its serial number {serial}" in agent.log()
        agent.append(make_range(11, 20))
        organization.wait_received(20)
        assert count(agent, "session ended") == 0


def read_serial(agent):
    path = os.path.join(agent.folder, "agent.pem")
    said = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-serial"], capture_output=True, check=True
    )
    return said.stdout.decode().strip().split("=")[1].lower()


def deny(organization, text):
    write(text.encode(), organization.store, "deny.txt")
    hang_up(organization.collector)
    organization.collector.wait_for_message("certificates and deny list reloaded")


def test_denied_while_streaming_and_when_it_comes_again():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        good = organization.enroll("-a", SHOP, "-g", "good")
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        said = organization.run(
            "deny", "add", agent.uri, "left on a train", "--store", organization.store
        )
        assert said.stdout == f"{agent.uri}  left on a train\n", said
        agent.wait_for_message(f'session ended.*deny list has {agent.uri}.*"kind":"denied"')
        # What it reads meanwhile waits in its spool; the others go on.
        agent.append(make_range(11, 20))
        good.append(make_range(101, 110))
        organization.wait_received(20)
        organization.collector.wait_for_message(f"stream refused.*deny list has {agent.uri}")
        agent.wait_for_message(
            f"session ended.*refuses our certificate: the collector's deny list has it.*{agent.uri}.*\"kind\":\"denied\""
        )
        organization.run("deny", "add", agent.uri, "--store", organization.store, code=2)
        assert f"{agent.uri} matches 1 known agent, 1 connected" in said.stderr, said
        assert f"does not match 1 agent below it ({good.uri}): \"{agent.uri}/*\"" in said.stderr, said
        organization.run("deny", "add", "nobody", "--store", organization.store, code=2)
        for wrong, why in (
            (SHOP, f"/account/{SHOP}/*"),
            ("spiffe://o-other/account/" + SHOP, "its organization is not"),
            (agent.uri + "/", "its path goes on with"),
        ):
            refused = organization.run("deny", "add", wrong, "--store", organization.store, code=2)
            assert why in refused.stderr, refused
        organization.run("deny", "remove", agent.uri, "--store", organization.store)
        listed = organization.run("deny", "list", "--store", organization.store)
        assert (listed.stdout, listed.stderr) == ("", "the deny list is empty\n"), listed
        hang_up(agent)
        organization.wait_received(30)
        events = flow.wait_until(
            "two DenyListChanged",
            lambda: len(found := organization.own_events("DenyListChanged")) == 2 and found,
        )
        details = [event["serviceEventDetails"] for event in events]
        assert {detail["change"] for detail in details} == {"added", "removed"}, details
        assert all("uid" in detail["by"] for detail in details), details
        assert count(good, "session ended") == 0


def shake_hands(organization, agent):
    """What a bare TLS client with an agent's certificate hears; it speaks no HTTP/2."""
    files = [argument for name in ("cert", "key") for argument in
             (f"-{name}", os.path.join(agent.folder, "agent." + name.replace("cert", "pem")))]
    done = subprocess.run(
        ["openssl", "s_client", "-tls1_3", "-alpn", "h2", "-connect", f"127.0.0.1:{organization.port}",
         "-CAfile", os.path.join(agent.folder, "ca.pem"), *files, "-state", "-ign_eof"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def test_denied_within_the_handshake():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        deny(organization, f"{read_serial(agent)}  stolen\n")
        said = shake_hands(organization, agent)
        assert "alert certificate revoked" in said, said
        line = organization.collector.wait_for_message("stream refused")
        for told in (agent.uri, f'"serial":"{read_serial(agent)}"', '"address":"127.0.0.1:', '"kind":"denied"'):
            assert told in line, line
        told = flow.wait_until("StreamRefused", lambda: organization.own_events("StreamRefused"))
        assert told[0]["serviceEventDetails"]["address"].startswith("127.0.0.1:"), told
        assert 'refused_streams_total{kind="denied"} 1' in organization.fetch("/metrics")
        # Nothing of it reached HTTP/2, where it would be a connection.
        assert "stream opened" not in organization.collector.log()
        # Also by its name, and by what it stands below; another agent comes in.
        good = organization.enroll("-a", OWNER)
        good.append(make_range(1, 10))
        organization.wait_received(10)
        for entry in (agent.uri, f"spiffe://o-example123/account/{SHOP}/*"):
            write(f"{entry}\n".encode(), organization.store, "deny.txt")
            hang_up(organization.collector)
            wait_count(organization.collector, f'"change":"added","entry":"{entry}"', 1)
            assert "alert certificate revoked" in shake_hands(organization, agent), entry


def test_a_broken_or_missing_deny_list_lets_nobody_in():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        deny(organization, f"{agent.uri}\n")
        path = os.path.join(organization.store, "deny.txt")
        write(f"{agent.uri}\nnonsense\n".encode(), path)
        hang_up(organization.collector)
        organization.collector.wait_for_message('not reloaded.*deny.txt: line 2: .{1,2}nonsense')
        os.remove(path)
        hang_up(organization.collector)
        organization.collector.wait_for_message("not reloaded.*deny.txt does not exist")
        agent.append(make_range(1, 10))
        agent.start()
        agent.wait_for_message("session ended.*the collector's deny list has it")
        assert organization.status()["total"]["received"] == 0


def test_check_reads_what_the_api_needs():
    with make_organization() as organization:
        organization.write_settings(organization.read_settings() + "api: {listen: 127.0.0.1:0}\n")
        path = os.path.join(organization.folder, "collector/secret.key")
        secret = read(path)
        assert run_check(organization.collector) == (0, f"{organization.config_path}: good, 2 accounts\n")
        os.remove(path)
        code, said = run_check(organization.collector)
        assert code == 0 and "secret.key is not there: the start makes it" in said, said
        assert not os.path.exists(path)
        write(secret[1:], path)
        os.chmod(path, 0o600)
        code, said = run_check(organization.collector)
        assert code == 2 and "secret.key: 31 bytes, not 32" in said, said
        write(secret, path)
        os.chmod(path, 0o644)
        code, said = run_check(organization.collector)
        assert code != 0 and "secret.key: others may read it" in said, said


def test_check_reads_where_trails_deliver():
    with make_organization() as organization:
        settings = organization.read_settings()
        folder = os.path.join(organization.folder, "buckets")
        organization.write_settings(settings + f"delivery: {{directory: {folder}}}\n")
        code, said = run_check(organization.collector)
        assert code == 2 and f"delivery: {folder} is no folder: make it" in said, said
        os.mkdir(folder)
        assert run_check(organization.collector)[0] == 0
        keys = os.path.join(organization.folder, "aws")
        organization.write_settings(
            settings + f"delivery: {{s3: {{region: eu-central-1, credentials: {keys}}}}}\n"
        )
        code, said = run_check(organization.collector)
        assert code == 2 and keys in said, said
        write(b"[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n", keys)
        os.chmod(keys, 0o600)
        assert run_check(organization.collector)[0] == 0, run_check(organization.collector)


def test_check_reads_the_deny_list_and_the_certificates():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        assert run_check(organization.collector)[0] == 0
        assert run_check(agent)[0] == 0
        write(b"4f\nnonsense\n", organization.store, "deny.txt")
        code, said = run_check(organization.collector)
        assert code == 2 and 'deny.txt: line 2: "nonsense"' in said, said
        write(b"", organization.store, "deny.txt")
        write(read(agent.folder, "agent.key"), organization.folder, "collector/collector.key")
        code, said = run_check(organization.collector)
        assert code == 2 and "collector.pem: the key and the certificate do not belong" in said, said
        write(read(agent.folder, "ca.pem")[:-60], agent.folder, "ca.pem")
        code, said = run_check(agent)
        assert code == 2 and "ca.pem: CA: certificate 1 of it cannot be read" in said, said


def run_check(program):
    done = subprocess.run(
        [*program.arguments, "--check"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_stream_ends_with_the_ca_of_its_certificate():
    with make_organization() as organization:
        organization.run("ca", organization.folder, "--replace", "--days", "20s")
        reload_collector(organization, 1)
        agent = organization.enroll("-a", SHOP, "--days", "1h")
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        agent.wait_for_message("session ended.*the CA that signed the certificate expired at", 60)
        agent.append(make_range(11, 20))
        # Of the old CA, which still is good.
        for name in ("ca.key", "ca.pem"):
            old = read(organization.folder, "ca", name.replace("ca", "old"))
            write(old, organization.folder, "ca", name)
        organization.run("enroll", organization.folder, f"--renew={agent.folder}")
        hang_up(agent)
        organization.wait_received(20)


def test_a_stream_ends_with_its_certificate():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, "--days", "15s")
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        begin = time.monotonic()
        agent.wait_for_message(
            "session ended.*refuses this agent's certificate.*expired at.*renew", 60
        )
        assert time.monotonic() - begin < 40
        agent.wait_for_message("the certificate has expired: renew it")
        agent.append(make_range(11, 20))
        organization.run("enroll", organization.folder, "-a", SHOP, "--renew")
        hang_up(agent)
        organization.wait_received(20)
        status = organization.agent_status(agent)
        assert status["streams"] == 1, status


def find_left(organization, subject):
    pattern = rf'orgtrail_collector_certificate_left_seconds\{{subject="{subject}"\}} (-?[0-9]+)'
    found = re.search(pattern, organization.fetch("/metrics"))
    return int(found.group(1)) if found else None


def test_ends_are_told_in_status_metrics_events_and_logs():
    with make_organization() as organization:
        good = organization.enroll("-a", SHOP, "-g", "good")
        agent = organization.enroll("-a", SHOP, "--days", "20d")
        for each, first in ((good, 1), (agent, 11)):
            each.append(make_range(first, first + 9))
        organization.wait_received(20)
        agent.wait_for_message("the certificate expires soon: renew it")
        event = flow.wait_until(
            "CertificateExpires", lambda: organization.own_events("CertificateExpires")
        )[0]["serviceEventDetails"]
        assert event["subject"] == agent.uri and event["daysBefore"] == 30, event
        assert event["serial"] == read_serial(agent), event
        organization.collector.wait_for_message(f"a certificate expires soon.*{agent.uri}")
        left = flow.wait_until("the metric", lambda: find_left(organization, agent.uri))
        assert 19 * 86400 < left <= 20 * 86400, left
        assert find_left(organization, "collector") > 390 * 86400
        assert find_left(organization, "ca") > 3600 * 86400
        shown = organization.run("status", organization.store).stdout
        assert "certificates 4 known, the first ends in 19 d" in shown, shown
        assert f"WARNING    {agent.uri} ends in 19 d" in shown, shown
        assert good.uri + " ends" not in shown, shown
        listed = organization.status()["certificates"]
        assert listed[0]["subject"] == agent.uri, listed
        kinds = sorted(entry["kind"] for entry in listed)
        assert kinds == ["agent", "agent", "ca", "collector"], listed
        # Each mark once, also across a restart, and for agents that do not come back.
        agent.kill()
        organization.collector.stop()
        organization.start_collector()
        good.append(make_range(31, 40))
        organization.wait_received(30)
        flow.wait_until("the metric", lambda: find_left(organization, agent.uri))
        assert len(organization.own_events("CertificateExpires")) == 1
        assert organization.own_events("CertificateChanged") == []


def test_another_certificate_of_an_agent_is_told():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        before = read_serial(agent)
        organization.run("enroll", organization.folder, "-a", SHOP, "--renew")
        hang_up(agent)
        told = wait_certificate_event(organization, "agent")
        assert told["subject"] == agent.uri, told
        assert (told["serialBefore"], told["serial"]) == (before, read_serial(agent)), told
        # The collector's, replaced while it did not run.
        organization.collector.stop()
        organization.run("enroll", organization.folder, "--server")
        organization.start_collector()
        told = wait_certificate_event(organization, "collector")
        assert "serialBefore" in told and "by" not in told, told


def test_a_stream_ends_when_its_ca_is_no_longer_accepted():
    with make_organization() as organization:
        other = flow.Organization(os.path.join(organization.base, "other"), [SHOP])
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        folder = os.path.join(organization.folder, "collector")
        # Another CA signs the collector and may sign agents; the old one may not any more.
        for name in ("ca.pem", "collector.pem", "collector.key"):
            shutil.copy(os.path.join(other.folder, "collector", name), folder)
        hang_up(organization.collector)
        agent.wait_for_message("session ended.*not by an accepted CA")
        wait_certificate_event(organization, "ca_added")
        wait_certificate_event(organization, "ca_removed")


def key_of(agent):
    """The public key in an agent's certificate."""
    path = os.path.join(agent.folder, "agent.pem")
    said = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-pubkey"], capture_output=True, check=True
    )
    return said.stdout


def reload_collector(organization, reloads):
    hang_up(organization.collector)
    wait_count(organization.collector, "certificates and deny list reloaded", reloads)


def test_the_ca_is_replaced_as_documented():
    with make_organization() as organization:
        folder = organization.folder
        agents = [
            organization.enroll("-a", SHOP),
            organization.enroll("-a", SHOP, "-r", "eu-west-1", "-g", "web"),
        ]

        def bring(first):
            for index, agent in enumerate(agents):
                agent.append(make_range(first + 10 * index, first + 10 * index + 9))
            organization.wait_received(first + 19)

        bring(1)
        shown = organization.run("ca", folder).stdout
        assert shown.startswith("signs     orgtrail CA of o-example123, serial "), shown
        assert "2 of 2 agents enrolled here have a certificate of the CA that signs" in shown, shown
        organization.run("ca", folder, "--finish", code=2)
        said = organization.run("ca", folder, "--replace").stdout
        assert "--all --renew" in said and "--finish" in said, said
        assert "under way" in organization.run("ca", folder, "--replace", code=2).stderr
        reload_collector(organization, 1)
        bring(21)
        # Nothing that is still needed goes.
        assert "enroll" in organization.run("ca", folder, "--finish", code=2).stderr

        said = organization.run("enroll", folder, "--all", "--renew").stdout
        assert "2 bundles in" in said, said
        for agent in agents:
            hang_up(agent)
            agent.wait_for_message('"certificates taken"')
        bring(41)
        refused = organization.run("ca", folder, "--finish", code=2).stderr
        assert "collector's certificate is of the old CA" in refused, refused

        organization.run("enroll", folder, "--server")
        reload_collector(organization, 2)
        bring(61)
        shown = organization.run("ca", folder, "--finish").stdout
        assert "2 of 2 agents enrolled here have a certificate of the CA that signs" in shown, shown
        reload_collector(organization, 3)
        bring(81)
        # One session was begun anew, for the new certificate; nothing came twice.
        for agent in agents:
            assert count(agent, '"session begun"') == 2, agent.log()
            status = organization.agent_status(agent)
            assert (status["streams"], status["duplicates"]) == (1, 0), status
        late = organization.enroll("-a", SHOP, "-g", "late")
        late.append(make_range(101, 110))
        organization.wait_received(110)
        assert len(certificate_events(organization, "ca_added")) == 1
        assert len(certificate_events(organization, "ca_removed")) == 1
        assert len(certificate_events(organization, "agent")) == 2
        assert not os.path.exists(os.path.join(folder, "ca/old.key"))


def test_a_replacement_that_was_stopped_in_the_middle():
    with make_organization() as organization:
        folder = organization.folder
        organization.run("ca", folder, "--replace")
        # As it is between its last two steps: the new key signs, the certificate is the old one.
        os.rename(os.path.join(folder, "ca/ca.pem"), os.path.join(folder, "ca/new.pem"))
        shutil.copy(os.path.join(folder, "ca/old.pem"), os.path.join(folder, "ca/ca.pem"))
        said = organization.run("enroll", folder, "-a", SHOP, code=2).stderr
        assert "not of one pair" in said, said
        organization.run("ca", folder, "--replace")
        reload_collector(organization, 1)
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        assert "under way" in organization.run("ca", folder, "--replace", code=2).stderr


def test_another_ca_alone_ends_no_stream():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        organization.run("ca", organization.folder, "--replace")
        write(read(organization.folder, "collector/ca.pem"), agent.folder, "ca.pem")
        hang_up(agent)
        agent.wait_for_message('"certificates taken: the stream goes on"')
        agent.append(make_range(11, 20))
        organization.wait_received(20)
        assert count(agent, '"session begun"') == 1, agent.log()
        assert count(agent, "session ended") == 0, agent.log()
        # The next connection uses it: the collector's certificate is of the new one by then.
        organization.run("enroll", organization.folder, "--server")
        organization.collector.stop()
        organization.start_collector()
        agent.append(make_range(21, 30))
        organization.wait_received(30)


def test_an_agent_left_behind_by_a_replaced_ca():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        old = read(agent.folder, "agent.pem")
        organization.run("ca", organization.folder, "--replace")
        organization.run("enroll", organization.folder, "--server")
        said = organization.run("ca", organization.folder, "--finish", code=2).stderr
        assert f"1 of 1 agents have a certificate of the old CA ({SHOP})" in said, said
        organization.run("ca", organization.folder, "--finish", "--force")
        reload_collector(organization, 1)
        agent.wait_for_message("session ended.*orgtrail CA of o-example123.{1,2}, not by an accepted")
        agent.append(make_range(11, 20))
        # It knows the old CA only, so it finds the collector wrong, too.
        agent.wait_for_message("certificate of .* is not good.*if its CA was replaced, bring")
        assert read(agent.folder, "agent.pem") == old
        organization.run("enroll", organization.folder, f"--renew={agent.folder}")
        hang_up(agent)
        organization.wait_received(20)


def test_renewals_keep_the_name_and_on_request_the_key():
    with make_organization() as organization:
        folder = organization.folder
        agent = organization.enroll("-a", SHOP, "-r", "eu-west-1", "-g", "web", is_started=False)
        key, certificate = key_of(agent), read(agent.folder, "agent.pem")
        config = read(agent.config_path)
        said = organization.run("enroll", folder, f"--renew={agent.folder}", "--keep-key").stdout
        assert f"{agent.folder}  {agent.uri}, 397 days" in said, said
        assert key_of(agent) == key and read(agent.folder, "agent.pem") != certificate
        said = organization.run("enroll", folder, f"--renew={agent.folder}", "--days", "90").stdout
        assert f"{agent.uri}, 90 days" in said, said
        assert key_of(agent) != key
        assert read(agent.config_path) == config
        # A bundle without its key, which never left the agent's machine, keeps it.
        key = key_of(agent)
        os.rename(os.path.join(agent.folder, "agent.key"), os.path.join(agent.folder, "elsewhere"))
        organization.run("enroll", folder, f"--renew={agent.folder}")
        assert key_of(agent) == key
        assert not os.path.exists(os.path.join(agent.folder, "agent.key"))
        os.rename(os.path.join(agent.folder, "elsewhere"), os.path.join(agent.folder, "agent.key"))
        agent.append(make_range(1, 10))
        agent.start()
        organization.wait_received(10)
        # Not of this organization, or no bundle at all.
        other = flow.Organization(
            os.path.join(organization.base, "other"), [SHOP], name="o-other4567"
        )
        said = other.run("enroll", other.folder, f"--renew={agent.folder}", code=2).stderr
        assert "not to an agent of o-other4567" in said, said
        said = other.run("enroll", other.folder, f"--renew={other.base}", code=2).stderr
        assert "agent.pem does not exist: nothing to renew" in said, said


if __name__ == "__main__":
    cases.run("certificates_test", globals())
