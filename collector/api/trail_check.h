// trail_check.h: whether what somebody writes can be a trail's name, bucket, topic, key or role.
//
// Each refuses the call with CloudTrail's error for it. Of the things themselves only the bucket is
// asked for, if trails deliver anywhere.

#pragma once

#include "collector/api/api.h"

enum {
    TRAIL_CHECK_NAME_MIN = 3,  // characters of a trail's name
    TRAIL_CHECK_NAME_MAX = 128,
    TRAIL_CHECK_PREFIX_MAX = 200,  // characters of the prefix of its files
    TRAIL_CHECK_TOPIC_MAX = 256,   // characters of a topic's name
    TRAIL_CHECK_ARN_MAX = 2048,
};

// A trail's name. InvalidTrailNameException.
MUST_CHECK bool trail_check_name(struct api_call *call, struct span name);

// A bucket. InvalidS3BucketNameException.
MUST_CHECK bool trail_check_bucket(struct api_call *call, struct span bucket);

// Whether there is such a bucket; always, if trails deliver nowhere. S3BucketDoesNotExistException.
MUST_CHECK bool trail_check_bucket_exists(struct api_call *call, struct span bucket);

// What the names of its files begin with; empty: nothing. InvalidS3PrefixException.
MUST_CHECK bool trail_check_prefix(struct api_call *call, struct span prefix);

// A topic's name or ARN; empty: none. InvalidSnsTopicNameException.
MUST_CHECK bool trail_check_topic(struct api_call *call, struct span topic);

// A key's id, alias or ARN; empty: none. *arn is the whole ARN, of this account and region if none
// is named. InvalidKmsKeyIdException; KmsKeyNotFoundException if it is of another region.
MUST_CHECK bool trail_check_key(struct api_call *call, struct span account, struct span region,
                                struct span key, struct span *arn);

// A log group's ARN and that of the role that writes there: both or none. They are refused with
// InvalidCloudWatchLogsLogGroupArnException and InvalidCloudWatchLogsRoleArnException.
MUST_CHECK bool trail_check_logs(struct api_call *call, struct span group, struct span role);

// The parts of "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE". False if it is no such text.
struct arn {
    struct span partition, service, region, account, resource;
};
bool trail_check_split(struct span text, struct arn *arn);
