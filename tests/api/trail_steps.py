"""The life of trails as a list of calls: what boto3 sends, and what must come of each.

A step is (who, operation, parameters, what must come): who is an account and a region; what must come
is the name of an error, or a function that checks the answer, or None. The same steps run against
the collector and, where it knows the operation, against moto.
"""

from datetime import datetime, timezone

HOME, AWAY = "eu-central-1", "us-east-1"
OWNER, SHOP, BANK = "111111111111", "222222222222", "333333333333"
BUCKET = "trail-logs"


def arn(name, account=OWNER, region=HOME):
    return f"arn:aws:cloudtrail:{region}:{account}:trail/{name}"


def has(**members):
    """The answer has these members with these values."""

    def check(answer):
        for name, value in members.items():
            assert answer.get(name) == value, f"{name} is {answer.get(name)!r}, not {value!r}"

    return check


def lacks(*absent):
    """The answer has none of these members."""

    def check(answer):
        assert not set(absent) & set(answer), answer

    return check


def trail_has(**members):
    return lambda answer: has(**members)(answer["Trail"])


def names(*wanted):
    return lambda answer: check_names(answer["trailList"], wanted)


def check_names(trails, wanted):
    found = sorted(trail["Name"] for trail in trails)
    assert found == sorted(wanted), f"{found}, not {sorted(wanted)}"


def check_started(answer):
    assert answer["IsLogging"] is True, answer
    started = answer["StartLoggingTime"]
    assert isinstance(started, datetime), answer
    assert abs((datetime.now(timezone.utc) - started).total_seconds()) < 120, answer
    # Nothing is delivered, so nothing says that it was.
    for name in ("LatestDeliveryTime", "LatestDigestDeliveryTime", "LatestNotificationTime"):
        assert name not in answer, answer
    assert answer["TimeLoggingStarted"].startswith(started.strftime("%Y-%m-%dT%H:%M")), answer
    assert answer["TimeLoggingStopped"] == "", answer


def check_stopped(answer):
    assert answer["IsLogging"] is False, answer
    assert answer["StopLoggingTime"] >= answer["StartLoggingTime"], answer


ADVANCED = [
    {
        "Name": "writes",
        "FieldSelectors": [
            {"Field": "readOnly", "Equals": ["false"]},
            {"Field": "eventCategory", "Equals": ["Management"]},
        ],
    },
    {
        "Name": "six objects",
        "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            {
                "Field": "resources.ARN",
                "Equals": ["arn:aws:s3:::bucket1/object1"],
                "StartsWith": ["arn:aws:s3:::bucket2/"],
                "EndsWith": ["object3", "object4"],
                "NotEquals": ["arn:aws:s3:::bucket6/object6"],
                "NotStartsWith": ["arn:aws:s3:::bucket4/"],
                "NotEndsWith": ["/object5"],
            },
        ],
    },
]
ADVANCED_SORTED = [
    {**one, "FieldSelectors": sorted(one["FieldSelectors"], key=lambda field: field["Field"])}
    for one in ADVANCED
]
BASIC = [
    {
        "ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": True,
        "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::bucket/prefix"]}],
        "ExcludeManagementEventSources": ["kms.amazonaws.com"],
    }
]
DEFAULT = [
    {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [],
        "ExcludeManagementEventSources": [],
    }
]
RATE = [{"InsightType": "ApiCallRateInsight", "EventCategories": ["Management"]}]

owner, away, shop, bank = (OWNER, HOME), (OWNER, AWAY), (SHOP, HOME), (BANK, HOME)


def create(name, **members):
    return {"Name": name, "S3BucketName": BUCKET, **members}


# What moto knows too: its answers' shapes are compared.
LIFE = [
    (owner, "CreateTrail", create("one"), has(
        Name="one", S3BucketName=BUCKET, IncludeGlobalServiceEvents=True, IsMultiRegionTrail=False,
        TrailARN=arn("one"), LogFileValidationEnabled=False, IsOrganizationTrail=False)),
    (owner, "GetTrailStatus", {"Name": "one"}, has(IsLogging=False, TimeLoggingStarted="")),
    (owner, "StartLogging", {"Name": "one"}, None),
    (owner, "GetTrailStatus", {"Name": arn("one")}, check_started),
    (owner, "StopLogging", {"Name": "one"}, None),
    (owner, "GetTrailStatus", {"Name": "one"}, check_stopped),
    (owner, "CreateTrail", create("many", S3KeyPrefix="a/b", IsMultiRegionTrail=True,
                                  EnableLogFileValidation=True,
                                  TagsList=[{"Key": "team", "Value": "audit"}]),
     has(S3KeyPrefix="a/b", IsMultiRegionTrail=True, LogFileValidationEnabled=True)),
    (owner, "GetTrail", {"Name": "many"}, trail_has(
        HomeRegion=HOME, HasCustomEventSelectors=False, HasInsightSelectors=False)),
    (owner, "DescribeTrails", {}, names("one", "many")),
    (away, "DescribeTrails", {}, names("many")),
    (away, "DescribeTrails", {"includeShadowTrails": False}, names()),
    (owner, "ListTrails", {}, lambda answer: check_names(answer["Trails"], ["one", "many"])),
    (owner, "UpdateTrail", {"Name": "one", "S3KeyPrefix": "new"}, has(
        S3BucketName=BUCKET, S3KeyPrefix="new")),
    (owner, "GetEventSelectors", {"TrailName": "one"}, has(EventSelectors=DEFAULT)),
    (owner, "PutEventSelectors", {"TrailName": "one", "EventSelectors": BASIC},
     has(TrailARN=arn("one"), EventSelectors=BASIC)),
    (owner, "GetEventSelectors", {"TrailName": "one"}, has(EventSelectors=BASIC)),
    (owner, "PutEventSelectors", {"TrailName": "one", "AdvancedEventSelectors": ADVANCED},
     has(AdvancedEventSelectors=ADVANCED)),
    (owner, "GetEventSelectors", {"TrailName": arn("one")},
     has(AdvancedEventSelectors=ADVANCED_SORTED)),
    (owner, "PutInsightSelectors", {"TrailName": "many", "InsightSelectors": RATE},
     has(TrailARN=arn("many"), InsightSelectors=RATE)),
    (owner, "GetInsightSelectors", {"TrailName": "many"}, has(InsightSelectors=RATE)),
    (owner, "AddTags", {"ResourceId": arn("many"), "TagsList": [{"Key": "a", "Value": "1"}]}, None),
    (owner, "ListTags", {"ResourceIdList": [arn("many")]}, has(ResourceTagList=[
        {"ResourceId": arn("many"), "TagsList": [{"Key": "team", "Value": "audit"},
                                                 {"Key": "a", "Value": "1"}]}])),
    (owner, "RemoveTags", {"ResourceId": arn("many"),
                           "TagsList": [{"Key": "team", "Value": "audit"}]}, None),
    (owner, "ListTags", {"ResourceIdList": [arn("many")]}, has(ResourceTagList=[
        {"ResourceId": arn("many"), "TagsList": [{"Key": "a", "Value": "1"}]}])),
    (owner, "CreateTrail", create("ab"), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("-abc"), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("abc-"), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("a b c"), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("a" * 129), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("never", IsMultiRegionTrail=True,
                                  IncludeGlobalServiceEvents=False),
     "InvalidParameterCombinationException"),
    (owner, "GetTrail", {"Name": "never"}, "TrailNotFoundException"),
    (owner, "GetTrailStatus", {"Name": "never"}, "TrailNotFoundException"),
    (owner, "DeleteTrail", {"Name": "many"}, None),
    (owner, "DeleteTrail", {"Name": "one"}, None),
    (owner, "DescribeTrails", {}, names()),
]

TOPIC_FIFO = f"arn:aws:sns:{HOME}:{OWNER}:topic.fifo"
GROUP = f"arn:aws:logs:{HOME}:{OWNER}:log-group:group:*"
ROLE = f"arn:aws:iam::{OWNER}:role/logs"

# What moto does not check.
RULES = [
    (owner, "CreateTrail", create("a..b"), "InvalidTrailNameException"),
    (owner, "CreateTrail", create("10.0.0.1"), "InvalidTrailNameException"),
    (owner, "CreateTrail", {"Name": "abc", "S3BucketName": "Upper"}, "InvalidS3BucketNameException"),
    (owner, "CreateTrail", create("abc", S3KeyPrefix="x" * 201), "InvalidS3PrefixException"),
    (owner, "CreateTrail", create("abc", SnsTopicName="no topic"), "InvalidSnsTopicNameException"),
    (owner, "CreateTrail", create("abc", SnsTopicName=TOPIC_FIFO), "InvalidSnsTopicNameException"),
    (owner, "CreateTrail", create("abc", KmsKeyId="no key"), "InvalidKmsKeyIdException"),
    (owner, "CreateTrail", create("abc", KmsKeyId=f"arn:aws:kms:{AWAY}:{OWNER}:alias/x"),
     "KmsKeyNotFoundException"),
    (owner, "CreateTrail", create("abc", CloudWatchLogsLogGroupArn=GROUP),
     "InvalidCloudWatchLogsRoleArnException"),
    (owner, "CreateTrail", create("abc", CloudWatchLogsRoleArn=ROLE),
     "InvalidCloudWatchLogsLogGroupArnException"),
    (owner, "CreateTrail", create("abc", TagsList=[{"Key": "aws:x"}]),
     "InvalidTagParameterException"),
    (owner, "CreateTrail", create("abc", TagsList=[{"Key": f"k{n}"} for n in range(51)]),
     "TagsLimitExceededException"),
    (owner, "CreateTrail", create("full", SnsTopicName="topic", KmsKeyId="alias/logs",
                                  CloudWatchLogsLogGroupArn=GROUP, CloudWatchLogsRoleArn=ROLE),
     has(SnsTopicName="topic", SnsTopicARN=f"arn:aws:sns:{HOME}:{OWNER}:topic",
         KmsKeyId=f"arn:aws:kms:{HOME}:{OWNER}:alias/logs", CloudWatchLogsLogGroupArn=GROUP,
         CloudWatchLogsRoleArn=ROLE)),
    (owner, "UpdateTrail", {"Name": "full", "SnsTopicName": "", "KmsKeyId": "",
                            "CloudWatchLogsLogGroupArn": "", "CloudWatchLogsRoleArn": ""},
     lacks("SnsTopicName", "SnsTopicARN", "KmsKeyId", "CloudWatchLogsLogGroupArn")),
    (owner, "CreateTrail", create("full"), "TrailAlreadyExistsException"),
    (owner, "UpdateTrail", {"Name": "full", "RecursiveLogging": False}, has(RecursiveLogging=False)),
    (owner, "UpdateTrail", {"Name": "full", "IsMultiRegionTrail": True},
     has(IsMultiRegionTrail=True, IncludeGlobalServiceEvents=True)),
    (owner, "UpdateTrail", {"Name": "full", "IncludeGlobalServiceEvents": False},
     "InvalidParameterCombinationException"),
    (owner, "StartLogging", {"Name": arn("full")}, None),
    (owner, "StopLogging", {"Name": arn("full")}, None),
    # Home regions and shadows.
    (away, "StartLogging", {"Name": arn("full")}, "InvalidHomeRegionException"),
    (away, "StopLogging", {"Name": arn("full")}, "InvalidHomeRegionException"),
    (away, "UpdateTrail", {"Name": arn("full")}, "InvalidHomeRegionException"),
    (away, "DeleteTrail", {"Name": arn("full")}, "InvalidHomeRegionException"),
    (away, "PutEventSelectors", {"TrailName": arn("full"), "EventSelectors": BASIC},
     "InvalidHomeRegionException"),
    (away, "PutInsightSelectors", {"TrailName": arn("full"), "InsightSelectors": RATE},
     "InvalidHomeRegionException"),
    (away, "AddTags", {"ResourceId": arn("full"), "TagsList": [{"Key": "a"}]},
     "InvalidHomeRegionException"),
    (away, "StartLogging", {"Name": "full"}, "TrailNotFoundException"),
    (away, "GetEventSelectors", {"TrailName": "full"}, "TrailNotFoundException"),
    (away, "GetEventSelectors", {"TrailName": arn("full")}, has(EventSelectors=DEFAULT)),
    (away, "DescribeTrails", {"trailNameList": ["full"]}, names()),
    (away, "DescribeTrails", {"trailNameList": [arn("full")]}, names("full")),
    (away, "CreateTrail", create("full"), "TrailAlreadyExistsException"),
    # ARNs.
    (owner, "GetTrail", {"Name": "arn:aws:s3:::bucket"}, "CloudTrailARNInvalidException"),
    (owner, "GetTrail", {"Name": arn("never")}, "TrailNotFoundException"),
    (owner, "ListTags", {"ResourceIdList": ["full"]}, "CloudTrailARNInvalidException"),
    (owner, "ListTags", {"ResourceIdList": [arn("never")]}, "ResourceNotFoundException"),
    (owner, "AddTags", {"ResourceId": arn("x").replace("trail/x", "eventdatastore/x"),
                        "TagsList": [{"Key": "a"}]}, "EventDataStoreNotFoundException"),
    (owner, "AddTags", {"ResourceId": arn("x").replace("trail/x", "channel/x"),
                        "TagsList": [{"Key": "a"}]}, "ChannelNotFoundException"),
    (owner, "AddTags", {"ResourceId": arn("x").replace("trail/x", "dashboard/x"),
                        "TagsList": [{"Key": "a"}]}, "ResourceTypeNotSupportedException"),
    # Selectors.
    (owner, "PutEventSelectors", {"TrailName": "full"}, "InvalidEventSelectorsException"),
    (owner, "PutEventSelectors", {"TrailName": "full", "EventSelectors": BASIC,
                                  "AdvancedEventSelectors": ADVANCED},
     "InvalidEventSelectorsException"),
    (owner, "PutEventSelectors", {"TrailName": "full", "EventSelectors": BASIC * 6},
     "InvalidEventSelectorsException"),
    (owner, "PutEventSelectors", {"TrailName": "full", "EventSelectors": [
        {"ReadWriteType": "read-only"}]}, "InvalidEventSelectorsException"),
    (owner, "PutEventSelectors", {"TrailName": "full", "AdvancedEventSelectors": [
        {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]},
     "InvalidEventSelectorsException"),
    (owner, "PutEventSelectors", {"TrailName": "full", "AdvancedEventSelectors": [
        {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]},
                            {"Field": "eventName", "Equals": [f"n{n}" for n in range(500)]}]}]},
     "InvalidEventSelectorsException"),
    (owner, "GetTrail", {"Name": "full"}, trail_has(HasCustomEventSelectors=False)),
    (owner, "PutEventSelectors", {"TrailName": "full", "AdvancedEventSelectors": ADVANCED}, None),
    (owner, "GetTrail", {"Name": "full"}, trail_has(HasCustomEventSelectors=True)),
    (owner, "GetInsightSelectors", {"TrailName": "full"}, "InsightNotEnabledException"),
    (owner, "PutInsightSelectors", {"TrailName": "full", "InsightSelectors": [
        {"InsightType": "Other"}]}, "InvalidInsightSelectorsException"),
    (owner, "PutInsightSelectors", {"TrailName": "full", "EventDataStore": "abc",
                                    "InsightSelectors": RATE},
     "InvalidParameterCombinationException"),
    (owner, "PutInsightSelectors", {"InsightSelectors": RATE}, "InvalidParameterException"),
    (owner, "PutInsightSelectors", {"TrailName": "full", "InsightSelectors": RATE}, None),
    (owner, "PutInsightSelectors", {"TrailName": "full", "InsightSelectors": []}, None),
    (owner, "GetInsightSelectors", {"TrailName": "full"}, "InsightNotEnabledException"),
    (owner, "ListPublicKeys", {}, has(PublicKeyList=[])),
    (owner, "ListPublicKeys", {"StartTime": 2, "EndTime": 1}, "InvalidTimeRangeException"),
    # Five in a region.
    *[(owner, "CreateTrail", create(f"trail{n}"), None) for n in range(4)],
    (owner, "CreateTrail", create("sixth"), "MaximumNumberOfTrailsExceededException"),
    (away, "CreateTrail", create("sixth", IsMultiRegionTrail=True),
     "MaximumNumberOfTrailsExceededException"),
    *[(owner, "DeleteTrail", {"Name": f"trail{n}"}, None) for n in range(4)],
    # The organization's.
    (owner, "CreateTrail", create("whole", IsMultiRegionTrail=True, IsOrganizationTrail=True),
     has(IsOrganizationTrail=True)),
    (shop, "DescribeTrails", {}, names("whole")),
    (shop, "GetTrail", {"Name": arn("whole")}, trail_has(TrailARN=arn("whole"))),
    (shop, "GetTrail", {"Name": arn("full")}, "TrailNotFoundException"),
    (shop, "StopLogging", {"Name": arn("whole")}, "NotOrganizationMasterAccountException"),
    (shop, "DeleteTrail", {"Name": arn("whole")}, "NotOrganizationMasterAccountException"),
    (shop, "PutEventSelectors", {"TrailName": arn("whole"), "EventSelectors": BASIC},
     "NotOrganizationMasterAccountException"),
    (shop, "CreateTrail", create("mine", IsOrganizationTrail=True),
     "NotOrganizationMasterAccountException"),
    (shop, "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": SHOP},
     "NotOrganizationManagementAccountException"),
    (owner, "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": OWNER},
     "CannotDelegateManagementAccountException"),
    (owner, "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": "999999999999"},
     "AccountNotFoundException"),
    (owner, "DeregisterOrganizationDelegatedAdmin", {"DelegatedAdminAccountId": SHOP},
     "AccountNotRegisteredException"),
    (owner, "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": SHOP}, None),
    (owner, "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": SHOP},
     "AccountRegisteredException"),
    (shop, "StartLogging", {"Name": arn("whole")}, None),
    (shop, "CreateTrail", create("theirs", IsOrganizationTrail=True), has(TrailARN=arn("theirs"))),
    (bank, "ListTrails", {}, lambda answer: check_names(answer["Trails"], ["whole", "theirs"])),
    (owner, "DeregisterOrganizationDelegatedAdmin", {"DelegatedAdminAccountId": SHOP}, None),
    (shop, "StopLogging", {"Name": arn("whole")}, "NotOrganizationMasterAccountException"),
    *[(owner, "DeleteTrail", {"Name": name}, None) for name in ("whole", "theirs", "full")],
    # What is not offered is refused by name.
    (owner, "CreateEventDataStore", {"Name": "store"}, "UnsupportedOperationException"),
    (owner, "StartQuery", {"QueryStatement": "SELECT 1"}, "UnsupportedOperationException"),
    (owner, "ListTrails", {}, lambda answer: check_names(answer["Trails"], [])),
]
