"""A small store that speaks S3, verifies each signature strictly, and fails as it is told.

Written from S3's documents, not from base/aws: the signature is computed here once more. It listens
on 127.0.0.1 from a thread of the test. `plan` holds what goes wrong: a list of (method, failure),
each used by the next request of that method ("*": of any). `always` goes wrong with every request.
"""

import base64
import collections
import datetime
import hashlib
import hmac
import http.server
import re
import socket
import ssl
import threading
import urllib.parse
from xml.sax.saxutils import escape

KEY_ID = "AKIAFAILINGSTORE"
SECRET = "secret/of+the=failing-store"
REGION = "eu-central-1"

# What a failure answers: status, code, and what stands beside it.
ERRORS = {
    "slow": (503, "SlowDown", ""),
    "unavailable": (503, "ServiceUnavailable", ""),
    "internal": (500, "InternalError", ""),
    "denied": (403, "AccessDenied", ""),
    "skewed": (403, "RequestTimeTooSkewed", ""),
    "region": (400, "AuthorizationHeaderMalformed", "<Region>us-west-2</Region>"),
    "moved": (301, "PermanentRedirect", "<Endpoint>elsewhere</Endpoint>"),
    "damaged": (400, "BadDigest", ""),
    "kms": (400, "KMS.DisabledException", ""),
    "full": (507, "XMinioStorageFull", ""),
    "token": (400, "ExpiredToken", ""),
}

Stored = collections.namedtuple("Stored", "bytes headers etag checksum")
Seen = collections.namedtuple("Seen", "method bucket key query status headers connection")


class Refusal(Exception):
    def __init__(self, status, code, more=""):
        super().__init__(code)
        self.status, self.code, self.more = status, code, more


class Cut(Exception):
    """The connection ends here."""


def encode(text):
    return urllib.parse.quote(text, safe="-._~")


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Store:
    """has_checksums: tells SHA-256 of objects; has_first: knows If-None-Match; has_ranges: knows Range."""

    def __init__(self, has_checksums=True, has_first=True, tls=None, buckets=("trail-bucket",),
                 key=(KEY_ID, SECRET), port=0, has_ranges=True):
        self.has_ranges = has_ranges
        self.key_id, self.secret = key
        self.has_checksums, self.has_first = has_checksums, has_first
        self.buckets = {name: {} for name in buckets}
        self.uploads = {}
        self.plan = []
        self.always = None
        self.seen = []
        self.page = 1000
        self.lock = threading.RLock()
        self.release = threading.Event()
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 60

            def do(self):
                Exchange(store, self).run()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

            def log_message(self, *parts):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, address):
                pass  # clients that leave

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def take_failure(self, method):
        with self.lock:
            for index, (wanted, failure) in enumerate(self.plan):
                if wanted in ("*", method):
                    del self.plan[index]
                    return failure
        return self.always


class Exchange:
    """One request and its answer."""

    def __init__(self, store, handler):
        self.store, self.handler = store, handler
        self.method = handler.command
        self.raw_path, _, self.raw_query = handler.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(self.raw_query, keep_blank_values=True))
        self.bucket, self.key = self.find_target()
        self.status = 0

    def find_target(self):
        path = urllib.parse.unquote(self.raw_path)[1:]
        host = self.handler.headers["Host"].rsplit(":", 1)[0]
        if host.endswith(".localhost"):
            return host[: -len(".localhost")], path or None
        bucket, slash, key = path.partition("/")
        return bucket, key if slash and key else None

    def run(self):
        failure = self.store.take_failure(self.method)
        try:
            if failure == "hang":
                self.store.release.wait(60)
                raise Cut
            if failure == "cut_request":
                self.handler.rfile.read(min(10, int(self.handler.headers.get("Content-Length", 0))))
                raise Cut
            self.body = self.handler.rfile.read(int(self.handler.headers.get("Content-Length", 0)))
            self.verify()
            self.fail(failure)
            with self.store.lock:
                status, headers, body = self.work(failure)
            if failure == "late":
                raise Cut
            self.answer(status, headers, body, is_cut=failure == "cut_answer")
        except Refusal as refusal:
            text = (
                f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refusal.code}</Code>"
                f"<Message>told to</Message>{refusal.more}</Error>"
            )
            self.answer(refusal.status, {}, text.encode())
        except Cut:
            self.handler.close_connection = True
            try:
                self.handler.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        finally:
            self.store.seen.append(
                Seen(self.method, self.bucket, self.key, self.query, self.status,
                     dict(self.handler.headers.items()), self.handler.client_address)
            )

    def answer(self, status, headers, body, is_cut=False):
        self.status = status
        handler = self.handler
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(body[: len(body) // 2] if is_cut else body)
        handler.wfile.flush()
        if is_cut:
            raise Cut

    def fail(self, failure):
        if failure in ERRORS:
            raise Refusal(*ERRORS[failure])
        if failure == "garbage":
            self.handler.wfile.write(b"what is this?\r\n\r\n")
            raise Cut
        if failure == "html":
            self.answer(502, {"Content-Type": "text/html"}, b"<html><h1>Bad gateway</h1><p>")
            raise Cut

    # ---- the signature, as S3 has it

    def verify(self):
        headers = self.handler.headers
        given = headers.get("Authorization", "")
        form = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/s3/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            given,
        )
        if not form:
            raise Refusal(403, "AccessDenied")
        key_id, day, region, names, signature = form.groups()
        if key_id != self.store.key_id:
            raise Refusal(403, "InvalidAccessKeyId")
        if region != REGION:
            raise Refusal(400, "AuthorizationHeaderMalformed", f"<Region>{REGION}</Region>")
        names = names.split(";")
        must = {name.lower() for name in headers if name.lower().startswith("x-amz-")}
        must |= {"host"} | ({"content-type"} if "Content-Type" in headers else set())
        if names != sorted(names) or not must <= set(names):
            raise Refusal(403, "SignatureDoesNotMatch")
        hashed = headers.get("x-amz-content-sha256", "")
        if hashed != hashlib.sha256(self.body).hexdigest():
            raise Refusal(400, "XAmzContentSHA256Mismatch")
        stamp = headers.get("x-amz-date", "")
        moment = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        apart = abs((datetime.datetime.now(datetime.timezone.utc) - moment).total_seconds())
        if apart > 900 or stamp[:8] != day:
            raise Refusal(403, "RequestTimeTooSkewed")
        path = urllib.parse.quote(urllib.parse.unquote_to_bytes(self.raw_path), safe="/-._~")
        pairs = [pair.partition("=")[::2] for pair in self.raw_query.split("&") if pair]
        pairs = sorted((encode(urllib.parse.unquote(n)), encode(urllib.parse.unquote(v))) for n, v in pairs)
        canonical = "\n".join(
            [self.method, path, "&".join(f"{n}={v}" for n, v in pairs)]
            + [f"{name}:{' '.join(headers[name].split())}" for name in names]
            + ["", ";".join(names), hashed]
        )
        scope = f"{day}/{region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("AWS4" + self.store.secret).encode()
        for part in (day, region, "s3", "aws4_request"):
            key = sign(key, part)
        if sign(key, text).hex() != signature:
            raise Refusal(403, "SignatureDoesNotMatch")

    # ---- what a store does

    def work(self, failure):
        if self.bucket not in self.store.buckets:
            raise Refusal(404, "NoSuchBucket")
        self.objects = self.store.buckets[self.bucket]
        if self.key is None:
            if "location" in self.query:
                return 200, {}, f"<LocationConstraint>{REGION}</LocationConstraint>".encode()
            return self.list(failure)
        if self.method == "PUT":
            return self.put_part() if "partNumber" in self.query else self.put(failure)
        if self.method == "POST":
            return self.complete(failure) if "uploadId" in self.query else self.begin()
        if self.method == "DELETE":
            self.store.uploads.pop(self.query["uploadId"], None)
            return 204, {}, b""
        return self.get()

    def check_sum(self):
        given = self.handler.headers.get("x-amz-checksum-sha256")
        found = base64.b64encode(hashlib.sha256(self.body).digest()).decode()
        if given is not None and given != found:
            raise Refusal(400, "BadDigest")
        return found

    def check_first(self):
        wanted = self.handler.headers.get("If-None-Match")
        if wanted == "*" and self.store.has_first and self.key in self.objects:
            raise Refusal(412, "PreconditionFailed")

    def kept_headers(self, headers):
        kept = ("content-type", "content-encoding", "x-amz-server-side-encryption", "x-amz-acl")
        return {
            name: value
            for name, value in headers.items()
            if name.lower().startswith("x-amz-meta-") or name.lower() in kept
        }

    def put(self, failure):
        checksum = self.check_sum()
        self.check_first()
        etag = hashlib.md5(self.body).hexdigest()
        body = self.body[: len(self.body) // 2] if failure == "shorten" else self.body
        if failure == "alter":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if body is not self.body:
            checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if failure != "lie":
            self.objects[self.key] = Stored(body, self.kept_headers(self.handler.headers), etag, checksum)
        return 200, {"ETag": f'"{etag}"'}, b""

    def begin(self):
        name = f"{len(self.store.seen)}.upload_-+/="
        self.store.uploads[name] = (self.kept_headers(self.handler.headers), {})
        text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        return 200, {}, text.encode()

    def put_part(self):
        checksum = self.check_sum()
        if self.query["uploadId"] not in self.store.uploads:
            raise Refusal(404, "NoSuchUpload")
        etag = f"<&{hashlib.md5(self.body).hexdigest()}>"
        self.store.uploads[self.query["uploadId"]][1][int(self.query["partNumber"])] = (
            self.body, etag, checksum)
        return 200, {"ETag": f'"{etag}"'}, b""

    def complete(self, failure):
        self.check_first()
        if failure == "error200":
            return 200, {}, b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
        headers, parts = self.store.uploads.pop(self.query["uploadId"])
        wanted = "".join(
            f'<Part><PartNumber>{n}</PartNumber><ETag>"{escape(parts[n][1])}"</ETag>'
            f"<ChecksumSHA256>{parts[n][2]}</ChecksumSHA256></Part>"
            for n in sorted(parts)
        )
        # A quotation mark may be written either way.
        if wanted.encode() not in self.body.replace(b"&quot;", b'"'):
            raise Refusal(400, "InvalidPart")
        body = b"".join(parts[n][0] for n in sorted(parts))
        etag = f"{hashlib.md5(body).hexdigest()}-{len(parts)}"
        self.objects[self.key] = Stored(body, headers, etag, None)
        return 200, {}, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"

    def get(self):
        stored = self.objects.get(self.key)
        if stored is None:
            raise Refusal(404, "NoSuchKey")
        headers = dict(stored.headers)
        headers.pop("x-amz-acl", None)
        headers["ETag"] = f'"{stored.etag}"'
        headers["Content-Length"] = str(len(stored.bytes))
        if self.store.has_checksums and stored.checksum:
            headers["x-amz-checksum-sha256"] = stored.checksum
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.handler.headers.get("Range", ""))
        if wanted is None or not self.store.has_ranges:
            return 200, headers, stored.bytes
        begin, end = int(wanted[1]), min(int(wanted[2]) + 1, len(stored.bytes))
        if begin >= end:
            raise Refusal(416, "InvalidRange")
        headers["Content-Length"] = str(end - begin)
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(stored.bytes)}"
        return 206, headers, stored.bytes[begin:end]

    def fold(self, keys, after):
        """Keys with a delimiter behind the prefix are put together, except those of the page before."""
        size, folded = len(self.query.get("prefix", "")), []
        for key in keys:
            at = key.find(self.query["delimiter"], size)
            name = key if at < 0 else key[: at + 1]
            was_before = "continuation-token" in self.query and at >= 0 and name == after
            if not was_before and name not in folded[-1:]:
                folded.append(name)
        return folded

    def row(self, key):
        name = escape(encode(key).replace("%20", "+"))
        if key not in self.objects:
            return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
        return (
            f"<Contents><Key>{name}</Key><Size>{len(self.objects[key].bytes)}</Size>"
            f"<ETag>&quot;{self.objects[key].etag}&quot;</ETag>"
            "<LastModified>2023-11-14T22:13:20.000Z</LastModified></Contents>"
        )

    def list(self, failure):
        keys = sorted((key for key in self.objects if key.startswith(self.query.get("prefix", ""))),
                      key=str.encode)
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        keys = [key for key in keys if key.encode() > after.encode()]
        if "delimiter" in self.query:
            keys = self.fold(keys, after)
        page, more = keys[: self.store.page], len(keys) > self.store.page
        rows = "".join(self.row(key) for key in page)
        token = ""
        if more or failure == "endless":
            last = "same" if failure == "endless" else page[-1]
            token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>"
        text = (
            f"<ListBucketResult><IsTruncated>{'true' if token else 'false'}</IsTruncated>{token}{rows}"
            "<EncodingType>url</EncodingType></ListBucketResult>"
        )
        return 200, {"Content-Type": "application/xml"}, text.encode()
