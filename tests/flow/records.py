"""Records made by hand for flows: small, valid, each with an id of its own."""

import json

SHOP, BANK = "222222222222", "333333333333"
OWNER = "999999999999"  # the management account


def make(number=0, without=(), **members):
    """A record as bytes; members override, those named in `without` are left out."""
    record = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "accountId": SHOP, "userName": "ana"},
        "eventTime": "2026-03-01T10:00:00Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "StartInstances",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": None,
        "responseElements": None,
        "eventID": f"60d1e5aa-0000-4000-9000-{number:012x}",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "recipientAccountId": SHOP,
        "eventCategory": "Management",
        **members,
    }
    for name in without:
        del record[name]
    return json.dumps(record, separators=(",", ":")).encode()


def make_range(first, last):
    """Records of these numbers, the last included."""
    return [make(number) for number in range(first, last + 1)]


def expect_counts(counts, **wanted):
    found = {key: counts[key] for key in wanted}
    assert found == wanted, f"{found}, not {wanted}"
