"""Each error that CloudTrail documents for an operation on trails, as steps like those of trail_steps.py.

What botocore's model lists for an operation stands here, or among those that docs/api.md says never come, or in one of
the two tables at the end with the reason.
"""

from tests.api.trail_steps import (
    AWAY, BANK, BASIC, BUCKET, HOME, OWNER, RATE, ROLE, SHOP, arn, away, create, owner, shop)

PLAIN, WHOLE = "errors-plain", "errors-whole"
BEGIN = [
    (owner, "CreateTrail", create(PLAIN, IsMultiRegionTrail=True), None),
    (owner, "CreateTrail", create(WHOLE, IsMultiRegionTrail=True, IsOrganizationTrail=True), None),
]
END = [(owner, "DeleteTrail", {"Name": name}, None) for name in (PLAIN, WHOLE)]

# The member that names the trail, and what else must be there.
ONE = {"TagsList": [{"Key": "a"}]}
NAMED = {
    "UpdateTrail": ("Name", {}),
    "DeleteTrail": ("Name", {}),
    "GetTrail": ("Name", {}),
    "GetTrailStatus": ("Name", {}),
    "StartLogging": ("Name", {}),
    "StopLogging": ("Name", {}),
    "PutEventSelectors": ("TrailName", {"EventSelectors": BASIC}),
    "GetEventSelectors": ("TrailName", {}),
    "PutInsightSelectors": ("TrailName", {"InsightSelectors": RATE}),
    "GetInsightSelectors": ("TrailName", {}),
}
READS = ("GetTrail", "GetTrailStatus", "GetEventSelectors", "GetInsightSelectors")
BAD_NAME, NO_ARN = "a..b", "arn:aws:s3:::bucket"


def of_names():
    for operation, (member, more) in NAMED.items():
        yield owner, operation, {member: BAD_NAME, **more}, "InvalidTrailNameException"
        yield owner, operation, {member: NO_ARN, **more}, "CloudTrailARNInvalidException"
        yield owner, operation, {member: "never", **more}, "TrailNotFoundException"
        yield owner, operation, {member: arn("never"), **more}, "TrailNotFoundException"
        yield shop, operation, {member: arn(PLAIN), **more}, "TrailNotFoundException"
        if operation in READS:
            continue
        yield away, operation, {member: arn(PLAIN), **more}, "InvalidHomeRegionException"
        yield shop, operation, {member: arn(WHOLE), **more}, "NotOrganizationMasterAccountException"


# What is wrong in the same way when a trail is made and when it is changed.
SETTINGS = [
    ({"S3BucketName": "Upper"}, "InvalidS3BucketNameException"),
    ({"S3KeyPrefix": "x" * 201}, "InvalidS3PrefixException"),
    ({"S3KeyPrefix": "a/AWSLogs/b"}, "InvalidS3PrefixException"),
    ({"SnsTopicName": "no topic"}, "InvalidSnsTopicNameException"),
    ({"KmsKeyId": "no key"}, "InvalidKmsKeyIdException"),
    ({"KmsKeyId": f"arn:aws:kms:{AWAY}:{OWNER}:alias/x"}, "KmsKeyNotFoundException"),
    ({"CloudWatchLogsRoleArn": ROLE}, "InvalidCloudWatchLogsLogGroupArnException"),
    ({"CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HOME}:{OWNER}:log-group:group:*"},
     "InvalidCloudWatchLogsRoleArnException"),
    ({"CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HOME}:{OWNER}:log-group:group", "CloudWatchLogsRoleArn": ROLE},
     "InvalidCloudWatchLogsLogGroupArnException"),
    ({"CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HOME}:{OWNER}:log-group:group:*", "CloudWatchLogsRoleArn": "role"},
     "InvalidCloudWatchLogsRoleArnException"),
    ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}, "InvalidParameterCombinationException"),
]


def of_settings():
    for members, error in SETTINGS:
        yield owner, "CreateTrail", {**create("errors-new"), **members}, error
        yield owner, "UpdateTrail", {"Name": PLAIN, **members}, error
    # Whoever may not do it is told so first; nothing was made or changed by any of them.
    yield shop, "CreateTrail", create("errors-new", IsOrganizationTrail=True), "NotOrganizationMasterAccountException"
    yield owner, "GetTrail", {"Name": "errors-new"}, "TrailNotFoundException"
    yield owner, "GetTrail", {"Name": PLAIN}, is_plain


def is_plain(answer):
    trail = answer["Trail"]
    assert trail["S3BucketName"] == BUCKET and trail["IncludeGlobalServiceEvents"] is True, trail
    assert not set(trail) & {"S3KeyPrefix", "SnsTopicName", "KmsKeyId", "CloudWatchLogsLogGroupArn"}, trail


def of_tags():
    def other(kind):
        return arn("x").replace("trail/x", f"{kind}/x")

    for operation in ("AddTags", "RemoveTags", "ListTags"):
        def ask(resource, more=ONE, name=operation):
            return {"ResourceIdList": [resource]} if name == "ListTags" else {"ResourceId": resource, **more}

        yield owner, operation, ask("errors-plain"), "CloudTrailARNInvalidException"
        yield owner, operation, ask(NO_ARN), "CloudTrailARNInvalidException"
        yield owner, operation, ask(arn(BAD_NAME)), "InvalidTrailNameException"
        yield owner, operation, ask(arn("never")), "ResourceNotFoundException"
        yield owner, operation, ask(other("eventdatastore")), "EventDataStoreNotFoundException"
        yield owner, operation, ask(other("channel")), "ChannelNotFoundException"
        yield owner, operation, ask(other("dashboard")), "ResourceTypeNotSupportedException"
        if operation == "ListTags":
            continue
        yield away, operation, ask(arn(PLAIN)), "InvalidHomeRegionException"
        yield shop, operation, ask(arn(WHOLE)), "NotOrganizationMasterAccountException"
        for wrong in ({"Key": ""}, {"Key": "k" * 129}, {"Key": "k", "Value": "v" * 257}, {"Key": "AWS:k"}):
            yield owner, operation, ask(arn(PLAIN), {"TagsList": [wrong]}), "InvalidTagParameterException"
        twice = {"TagsList": [{"Key": "k"}, {"Key": "k"}]}
        yield owner, operation, ask(arn(PLAIN), twice), "InvalidTagParameterException"
    many = {"TagsList": [{"Key": f"k{number}"} for number in range(51)]}
    yield owner, "AddTags", {"ResourceId": arn(PLAIN), **many}, "TagsLimitExceededException"
    yield owner, "ListTags", {"ResourceIdList": [arn(PLAIN)], "NextToken": "x"}, "InvalidTokenException"


def of_delegates():
    for operation, member in (("RegisterOrganizationDelegatedAdmin", "MemberAccountId"),
                              ("DeregisterOrganizationDelegatedAdmin", "DelegatedAdminAccountId")):
        yield shop, operation, {member: BANK}, "NotOrganizationManagementAccountException"
        yield owner, operation, {member: "shop"}, "InvalidParameterException"
        yield owner, operation, {member: "999999999999"}, "AccountNotFoundException"


ERRORS = [
    *BEGIN,
    *of_names(),
    *of_settings(),
    *of_tags(),
    *of_delegates(),
    (owner, "DescribeTrails", {"trailNameList": [BAD_NAME]}, "InvalidTrailNameException"),
    (owner, "DescribeTrails", {"trailNameList": [NO_ARN]}, "CloudTrailARNInvalidException"),
    (owner, "GetInsightSelectors", {}, "InvalidParameterException"),
    (owner, "GetInsightSelectors", {"TrailName": PLAIN, "EventDataStore": "x"}, "InvalidParameterCombinationException"),
    (owner, "ListPublicKeys", {"NextToken": "x"}, "InvalidTokenException"),
    *END,
]

# Shown where what brings them about is: the file that has the case.
ELSEWHERE = {
    "S3BucketDoesNotExistException": "tests/deliver/delivery_test.py",  # trails that deliver
    "DelegatedAdminAccountLimitExceededException": "tests/api/clients_test.py",  # four members
    "ConflictException": "collector/api/api_test.c",  # others that change the same at each attempt
    "ThrottlingException": "collector/api/gateway_test.c",  # own events of calls that cannot be stored
    "UnsupportedOperationException": "tests/api/clients_test.py",  # of the operations that are refused
}

# Of these operations CloudTrail documents it, and here it cannot come.
NOT_OF = {
    ("CreateTrail", "InvalidParameterException"),  # each member has an error of its own
    ("UpdateTrail", "InvalidParameterException"),
    ("UpdateTrail", "InvalidEventSelectorsException"),  # selectors fit any trail
    ("PutInsightSelectors", "S3BucketDoesNotExistException"),  # nothing is written when it is called
}
