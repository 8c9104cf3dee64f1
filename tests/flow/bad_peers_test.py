#!/usr/bin/env python3
"""Peers that are not who they should be: each is told why, and the others go on."""

import os
import shutil
import socket
import ssl
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

AUTHORITY = """[ca]
default_ca = here
[here]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {use}
{names}
"""


LONG_AGO, LATE = "20260101000000Z", "20460101000000Z"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def issue(agent, ca_folder, uri, begin=LONG_AGO, end=LATE):
    """Puts another certificate and key in place of the agent's own."""
    for name in ("agent.key", "agent.pem"):
        path = os.path.join(agent.folder, name)
        shutil.copy(path, path + ".good")
    names = f"URI:{uri}" if uri else None
    sign(agent.folder, "agent", ca_folder, "clientAuth", names, begin, end)


def sign(place, name, ca_folder, use, names, begin=LONG_AGO, end=LATE):
    """Makes NAME.key and NAME.pem in a folder, with dates that orgtrail would not make."""
    folder = os.path.join(place, f"sign_{name}")
    os.makedirs(folder)
    config = os.path.join(folder, "openssl.cnf")
    names = f"subjectAltName = {names}" if names else ""
    with open(config, "w", encoding="ascii") as file:
        file.write(AUTHORITY.format(folder=folder, use=use, names=names))
    open(os.path.join(folder, "index.txt"), "w", encoding="ascii").close()
    with open(os.path.join(folder, "serial"), "w", encoding="ascii") as file:
        file.write("77\n")
    key, request = os.path.join(place, f"{name}.key"), os.path.join(folder, "request")
    certificate = os.path.join(place, f"{name}.pem")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=somebody", "-out", request)
    openssl(
        *("ca", "-batch", "-notext", "-config", config, "-extensions", "leaf"),
        *("-cert", f"{ca_folder}/ca.pem", "-keyfile", f"{ca_folder}/ca.key", "-in", request),
        *("-startdate", begin, "-enddate", end, "-out", certificate),
    )


def restore(agent):
    for name in ("agent.key", "agent.pem"):
        path = os.path.join(agent.folder, name)
        shutil.copy(path + ".good", path)


def make_organization(**options):
    organization = flow.Organization(accounts=[SHOP], management=OWNER, **options)
    organization.start_collector()
    return organization


def expect_refused(organization, spoil, said, by_collector=""):
    """An agent with a spoiled bundle brings nothing and says why; mended it brings everything."""
    good = organization.enroll("-a", SHOP, "-g", "good")
    bad = organization.enroll("-a", SHOP, "-g", "bad", is_started=False)
    spoil(bad)
    bad.append(make_range(1, 20))
    bad.start()
    good.append(make_range(101, 120))
    organization.wait_received(20)
    flow.wait_until(
        lambda: f"{said!r} in the log of the agent: {bad.log(whole=True)[-3000:]}",
        lambda: all(word in bad.log(whole=True) for word in said),
    )
    if by_collector:
        organization.collector.wait_for_message(by_collector)
    assert organization.status()["total"]["received"] == 20
    code = bad.stop() if bad.is_running() else bad.wait()
    restore(bad)
    bad.start()
    organization.wait_received(40)
    found = [line for line in organization.export() if b"orgtrail.local" not in line]
    assert sorted(found) == make_range(1, 20) + make_range(101, 120)
    return code



def test_certificate_of_another_ca():
    with make_organization() as organization:
        other = flow.Organization(os.path.join(organization.base, "other"), [SHOP])
        ca = os.path.join(other.folder, "ca")
        expect_refused(
            organization,
            lambda agent: issue(agent, ca, agent.uri),
            ["agent.pem", "not by an accepted CA"],
        )


def call_as_stranger(port, ca_path, *arguments):
    """Shakes hands as openssl's client does; whether the collector hung up before the client."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "h2"]
    with subprocess.Popen(
        [*command, "-CAfile", ca_path, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as client:
        try:
            return client.wait(10) != 0
        except subprocess.TimeoutExpired:
            client.kill()
            return False


def test_strangers_who_do_not_check_themselves():
    with make_organization() as organization:
        other = flow.Organization(os.path.join(organization.base, "other"), [SHOP])
        agent = organization.enroll("-a", SHOP, is_started=False)
        issue(agent, os.path.join(other.folder, "ca"), agent.uri)
        path = os.path.join(agent.folder, "agent")
        ca_path = os.path.join(agent.folder, "ca.pem")
        foreign = ["-cert", f"{path}.pem", "-key", f"{path}.key"]
        assert call_as_stranger(organization.port, ca_path, *foreign)
        assert call_as_stranger(organization.port, ca_path)
        assert call_as_stranger(organization.port, ca_path, *foreign, "-tls1_2")
        restore(agent)
        assert call_as_stranger(organization.port, ca_path, *foreign, "-tls1_2")
        assert not call_as_stranger(organization.port, ca_path, *foreign)
        organization.collector.wait_for_message("certificate verify failed")
        agent.append(make_range(1, 10))
        agent.start()
        organization.wait_received(10)


def test_certificate_that_has_expired():
    with make_organization() as organization:
        ca = os.path.join(organization.folder, "ca")
        expect_refused(
            organization,
            lambda agent: issue(agent, ca, agent.uri, "20250101000000Z", "20250201000000Z"),
            ["expired"],
        )


def test_certificate_that_is_not_valid_yet():
    with make_organization() as organization:
        ca = os.path.join(organization.folder, "ca")
        expect_refused(
            organization,
            lambda agent: issue(agent, ca, agent.uri, "20400101000000Z"),
            ["agent.pem", "not valid before 2040-01-01T00:00:00Z (the clock says "],
        )


def expect_hung_up(name, said):
    """The agent finds nothing wrong with itself; the collector hangs up within the handshake."""
    with make_organization() as organization:
        other = flow.Organization(os.path.join(organization.base, "other"), [SHOP], name=name)
        agent = organization.enroll("-a", SHOP, is_started=False)
        issue(agent, os.path.join(other.folder, "ca"), agent.uri)
        with open(os.path.join(agent.folder, "ca.pem"), "ab") as file:
            with open(os.path.join(other.folder, "ca/ca.pem"), "rb") as from_other:
                file.write(from_other.read())
        agent.append(make_range(1, 10))
        agent.start()
        agent.wait_for_message(f"session ended.*hung up when it saw our certificate: {said}")
        organization.collector.wait_for_message("certificate verify failed")
        agent.stop()
        restore(agent)
        agent.start()
        organization.wait_received(10)


def test_certificate_of_a_ca_that_only_the_agent_knows():
    expect_hung_up(
        "o-other4567",
        "it was signed by .{1,2}orgtrail CA of o-other4567.{1,2}, the server's by .{1,2}orgtrail CA "
        "of o-example123.{1,2}: if the CA was replaced, renew it",
    )


def test_certificate_of_a_ca_of_the_same_name():
    expect_hung_up(
        flow.ORGANIZATION,
        "it is good by this clock .*; valid from 2026-01-01.* to 2046-01-01.*: is the server's "
        "clock right, does its ca.pem have our CA.*it said: unknown CA",
    )


def test_certificate_without_name():
    with make_organization() as organization:
        ca = os.path.join(organization.folder, "ca")
        expect_refused(organization, lambda agent: issue(agent, ca, None), ["certificate", "URI"])


def test_certificate_that_names_another_organization():
    with make_organization() as organization:
        ca = os.path.join(organization.folder, "ca")
        uri = f"spiffe://o-other4567/account/{SHOP}"
        expect_refused(
            organization,
            lambda agent: issue(agent, ca, uri),
            ["o-other4567", "o-example123"],
            "stream refused.*o-other4567",
        )


def test_collector_of_another_organization():
    with make_organization() as organization:
        with make_organization(
            folder=os.path.join(organization.base, "other"), name="o-other4567"
        ) as other:
            agent = organization.enroll("-a", SHOP, is_started=False)
            with open(agent.config_path, encoding="utf-8") as file:
                text = file.read()
            wrong = text.replace(f":{organization.port}", f":{other.port}")
            with open(agent.config_path, "w", encoding="utf-8") as file:
                file.write(wrong)
            agent.append(make_range(1, 20))
            agent.start()
            agent.wait_for_message("certificate of 127.0.0.1:[0-9]+ is not good.*CA")
            # One CA for both: only the name tells them apart.
            agent.stop()
            assert other.status()["total"]["received"] == 0
            with open(agent.config_path, "w", encoding="utf-8") as file:
                file.write(text)
            agent.start()
            organization.wait_received(20)


def test_two_organizations_with_one_ca():
    """TLS finds nothing wrong: the name in the certificate tells them apart."""
    with make_organization() as organization:
        other = flow.Organization(
            os.path.join(organization.base, "other"), [SHOP], name="o-other4567"
        )
        for name in ("ca/ca.pem", "ca/ca.key", "collector/ca.pem"):
            source = os.path.join(organization.folder, "ca", os.path.basename(name))
            shutil.copy(source, os.path.join(other.folder, name))
        other.run("enroll", other.folder, "--server")
        other.start_collector()
        try:
            agent = organization.enroll("-a", SHOP, is_started=False)
            with open(agent.config_path, encoding="utf-8") as file:
                text = file.read()
            wrong = text.replace(f":{organization.port}", f":{other.port}")
            with open(agent.config_path, "w", encoding="utf-8") as file:
                file.write(wrong)
            agent.append(make_range(1, 20))
            agent.start()
            agent.wait_for_message(
                f"session ended.*certificate's URI {agent.uri}: its organization is not "
                'o-other4567.*"kind":"denied"'
            )
            other.collector.wait_for_message(f"stream refused.*{agent.uri}")
            assert other.status()["total"]["received"] == 0
            agent.stop()
            with open(agent.config_path, "w", encoding="utf-8") as file:
                file.write(text)
            agent.start()
            organization.wait_received(20)
        finally:
            other.end()


def expect_server_refused(organization, agent, names, begin, end, said, use="serverAuth"):
    """An agent meets a TLS server with a certificate that a collector would not use."""
    folder = os.path.join(organization.base, f"server{len(organization.agents)}")
    os.makedirs(folder)
    ca = os.path.join(organization.folder, "ca")
    sign(folder, "server", ca, use, names, begin, end)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-alpn", "h2", "-quiet"]
    files = ["-cert", f"{folder}/server.pem", "-key", f"{folder}/server.key"]
    with open(agent.config_path, encoding="utf-8") as file:
        text = file.read()
    with open(agent.config_path, "w", encoding="utf-8") as file:
        file.write(text.replace(f":{organization.port}", f":{port}"))
    with subprocess.Popen(
        [*command, *files, "-CAfile", f"{ca}/ca.pem", "-Verify", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            agent.start()
            agent.wait_for_message(f"session ended.*certificate of 127.0.0.1:{port} is not good.*{said}")
        finally:
            server.kill()
            agent.kill()


def test_collectors_with_certificates_that_are_no_good():
    good = "DNS:localhost,IP:127.0.0.1"
    with make_organization() as organization:
        for names, begin, end, said, use in (
            (good, "20250101000000Z", "20250201000000Z", "expired at 2025-02-01.*renew", "serverAuth"),
            (good, "20400101000000Z", LATE, "not valid before 2040.*set the clock", "serverAuth"),
            ("DNS:elsewhere.example", LONG_AGO, LATE, "another name than localhost", "serverAuth"),
            (good, LONG_AGO, LATE, "not made out for this use", "clientAuth"),
        ):
            name = f"a{len(organization.agents)}"
            agent = organization.enroll("-a", SHOP, "-g", name, is_started=False)
            expect_server_refused(organization, agent, names, begin, end, said, use)


def knock(port, content, is_tls=False):
    """Sends bytes that no agent would send, and waits until the collector hangs up or 2 s."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as plain:
        peer = plain
        try:
            if is_tls:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                peer = context.wrap_socket(plain)
            peer.sendall(content)
            while peer.recv(4096):
                pass
        except OSError:  # reset, refused, timed out: all of it is an answer
            pass


def test_garbage_on_the_port():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        port = organization.port
        knock(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        knock(port, os.urandom(100000))
        knock(port, b"\x16\x03\x01" + os.urandom(600))
        knock(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(1000))
        knock(port, b"GET / HTTP/1.1\r\n\r\n", is_tls=True)
        for _ in range(50):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        agent.append(make_range(11, 20))
        organization.wait_received(20)
        assert organization.collector.is_running()
        assert '"status":"ok"' in organization.fetch("/healthz")
        assert organization.check() == 20


def test_garbage_on_the_http_port():
    with make_organization() as organization:
        knock(organization.http_port, os.urandom(100000))
        knock(organization.http_port, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n")
        assert '"status":"ok"' in organization.fetch("/healthz")


if __name__ == "__main__":
    cases.run("bad_peers_test", globals())
