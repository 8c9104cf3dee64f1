"""A collector that delivers trails to a server of S3, for tests/deliver."""

import os
import sys

sys.dont_write_bytecode = True

from tests.deliver.delivery import BUCKET, HOME, Delivering  # noqa: E402
from tests.s3 import servers  # noqa: E402


class DeliveringToS3(Delivering):
    """The server starts when the collector runs: aws has one key for both, which the collector makes."""

    def __init__(self, region=HOME, scheme="http", interval=1, digest_interval=3, more_s3="", **options):
        self.port = servers.free_port()
        self.region = region
        self.store_endpoint = f"{scheme}://127.0.0.1:{self.port}"
        self.more_s3 = more_s3
        self.server = None
        super().__init__(interval, digest_interval, **options)
        self.key = (self.admin.id, self.admin.secret)
        self.write_credentials(*self.key)

    def prepare(self):
        organization = self.organization
        self.mirror = os.path.join(organization.base, "mirror")
        os.makedirs(self.mirror)
        self.write_credentials("AKIANONE", "none")
        text = organization.read_settings().replace(
            "directory: ../../buckets",
            f"s3: {{region: {self.region}, endpoint: \"{self.store_endpoint}\", ca: ../../store.pem, "
            f"credentials: ../../credentials{self.more_s3}}}",
        )
        assert "credentials: ../.." in text
        organization.write_settings(text)

    def write_credentials(self, key_id, secret):
        servers.write_credentials(self.organization.base, key_id, secret)

    def serve(self, kind):
        """Starts one of tests/s3/servers.py."""
        self.server = kind(port=self.port, key=self.key, bucket=BUCKET)
        if self.server.ca:
            self.trust(self.server.ca)

    def trust(self, ca):
        with open(ca) as file:
            text = file.read()
        with open(os.path.join(self.organization.base, "store.pem"), "w") as file:
            file.write(text)

    def __exit__(self, *error):
        if self.server is not None:
            self.server.close()
        return super().__exit__(*error)

    def environment(self, key=None, region=HOME):
        """For aws: S3's calls go to the server."""
        environment = super().environment(key, region) | {"AWS_ENDPOINT_URL_S3": self.store_endpoint}
        if self.server is not None and self.server.ca:
            both = os.path.join(self.organization.base, "both.pem")
            with open(both, "w") as file:
                for path in (environment["AWS_CA_BUNDLE"], self.server.ca):
                    with open(path) as one:
                        file.write(one.read())
            environment["AWS_CA_BUNDLE"] = both
        return environment

    def objects(self, bucket):
        """Keys and a function that reads one."""
        client = self.server.boto3()
        keys = []
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys += [item["Key"] for item in page.get("Contents", ())]
        return keys, lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def files(self, kind="CloudTrail", bucket=BUCKET):
        """Paths of copies of the delivered files of a kind, by key. An object never changes: one copy is made."""
        found = {}
        keys, read = self.objects(bucket)
        for key in keys:
            if f"/{kind}/" not in key:
                continue
            path = os.path.join(self.mirror, bucket, key)
            if not os.path.exists(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(read(key))
            found[key] = path
        return dict(sorted(found.items()))
