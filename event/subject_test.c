// What calls are about by their parameters, as CloudTrail's own history shows them.

#include <stdio.h>

#include "event/record.h"
#include "tests/kit/cases.h"

struct example {
    const char *source;  // without .amazonaws.com
    const char *name;
    const char *more;      // members of the record behind those
    const char *subjects;  // "TYPE NAME\n" for each, in order
};

static const struct example examples[] = {
    {"iam", "CreateUser",
     "'requestParameters':{'userName':'eve','path':'/'},'responseElements':{'user':{'userName':"
     "'eve','arn':'arn:aws:iam::1:user/eve','userId':'AIDA'}}",
     "AWS::IAM::User eve\nAWS::IAM::User arn:aws:iam::1:user/eve\n"},
    {"iam", "AttachRolePolicy",
     "'requestParameters':{'roleName':'r','policyArn':'arn:aws:iam::aws:policy/p'}",
     "AWS::IAM::Role r\nAWS::IAM::Policy arn:aws:iam::aws:policy/p\n"},
    {"iam", "CreateAccessKey",
     "'requestParameters':{'userName':'eve'},'responseElements':{'accessKey':{'accessKeyId':'AKIA1'"
     ","
     "'userName':'eve','status':'Active'}}",
     "AWS::IAM::User eve\nAWS::IAM::AccessKey AKIA1\n"},
    {"iam", "PutUserPolicy", "'requestParameters':{'userName':'eve','policyName':'inline'}",
     "AWS::IAM::User eve\n"},
    {"iam", "CreatePolicy",
     "'requestParameters':{'policyName':'p'},'responseElements':{'policy':{'arn':'arn:p'}}",
     "AWS::IAM::Policy p\nAWS::IAM::Policy arn:p\n"},
    {"sts", "AssumeRole",
     "'readOnly':true,'requestParameters':{'roleArn':'arn:aws:iam::1:role/"
     "r','roleSessionName':'s'},"
     "'responseElements':{'credentials':{'accessKeyId':'ASIA1','sessionToken':'x'},"
     "'assumedRoleUser':{'assumedRoleId':'AROA:s','arn':'arn:aws:sts::1:assumed-role/r/s'}},"
     "'resources':[{'ARN':'arn:aws:iam::1:role/r','accountId':'1','type':'AWS::IAM::Role'}]",
     "AWS::IAM::AccessKey ASIA1\nAWS::STS::AssumedRole AROA:s\n"
     "AWS::STS::AssumedRole arn:aws:sts::1:assumed-role/r/s\n"},
    {"signin", "ConsoleLogin", "'responseElements':{'ConsoleLogin':'Success'}", ""},
    {"ec2", "RunInstances",
     "'requestParameters':{'instancesSet':{'items':[{'imageId':'ami-1','minCount':1,'keyName':'k'}]"
     "},"
     "'groupSet':{'items':[{'groupId':'sg-1'}]},'subnetId':'subnet-1','instanceType':'t2'},"
     "'responseElements':{'instancesSet':{'items':[{'instanceId':'i-1','imageId':'ami-1','vpcId':"
     "'vpc-1'},{'instanceId':'i-2','imageId':'ami-1','vpcId':'vpc-1'}]}}",
     "AWS::EC2::Ami ami-1\nAWS::EC2::KeyPair k\nAWS::EC2::SecurityGroup sg-1\n"
     "AWS::EC2::Subnet subnet-1\nAWS::EC2::Instance i-1\nAWS::EC2::VPC vpc-1\n"
     "AWS::EC2::Instance i-2\n"},
    {"ec2", "CreateTags",
     "'requestParameters':{'resourcesSet':{'items':[{'resourceId':'vol-1'},{'resourceId':'x-1'},"
     "{'resourceId':'i-1'}]}}",
     "AWS::EC2::Volume vol-1\nAWS::EC2::Instance i-1\n"},
    {"ec2", "CreateNatGateway",
     "'requestParameters':{'CreateNatGatewayRequest':{'SubnetId':'subnet-1'}},'responseElements':"
     "{'CreateNatGatewayResponse':{'natGateway':{'natGatewayId':'nat-1','subnetId':'subnet-1'}}}",
     "AWS::EC2::Subnet subnet-1\nAWS::EC2::NatGateway nat-1\n"},
    {"ec2", "CreateVpc", "'responseElements':{'vpc':{'vpcId':'vpc-1','dhcpOptionsId':'dopt-1'}}",
     "AWS::EC2::VPC vpc-1\nAWS::EC2::DHCPOptions dopt-1\n"},
    {"ec2", "DescribeInstances",
     "'readOnly':true,'requestParameters':{'instancesSet':{'items':[{'instanceId':'i-1'}]}}", ""},
    {"s3", "DeleteBucket", "'requestParameters':{'bucketName':'b','Host':'b.s3.amazonaws.com'}",
     "AWS::S3::Bucket b\n"},
    // The record itself says it, by its ARN.
    {"s3", "PutBucketPolicy",
     "'requestParameters':{'bucketName':'b'},'resources':[{'type':'AWS::S3::Bucket','ARN':"
     "'arn:aws:s3:::b'}]",
     ""},
    {"s3", "PutObject", "'eventCategory':'Data','requestParameters':{'bucketName':'b','key':'k'}",
     ""},
    {"kms", "CreateAlias", "'requestParameters':{'aliasName':'alias/a','targetKeyId':'1-2'}",
     "AWS::KMS::Alias alias/a\nAWS::KMS::Key 1-2\n"},
    {"lambda", "RemovePermission20150331v2", "'requestParameters':{'functionName':'f'}",
     "AWS::Lambda::Function f\n"},
    {"rds", "CreateDBInstance",
     "'requestParameters':{'dBInstanceIdentifier':'d','dBSubnetGroupName':'g'},'responseElements':"
     "{'dBInstanceIdentifier':'d','dBInstanceArn':'arn:d'}",
     "AWS::RDS::DBInstance d\nAWS::RDS::DBSubnetGroup g\nAWS::RDS::DBInstance arn:d\n"},
    {"dynamodb", "CreateTable",
     "'requestParameters':{'tableName':'t'},'responseElements':{'tableDescription':{'tableArn':'a'}"
     "}",
     "AWS::DynamoDB::Table t\nAWS::DynamoDB::Table a\n"},
    {"cloudtrail", "CreateTrail",
     "'requestParameters':{'name':'t','s3BucketName':'b'},'responseElements':{'trailARN':'arn:t'}",
     "AWS::CloudTrail::Trail t\nAWS::S3::Bucket b\nAWS::CloudTrail::Trail arn:t\n"},
    {"cloudtrail", "CreateChannel", "'requestParameters':{'name':'c'}", ""},
    {"sns", "CreateTopic",
     "'requestParameters':{'name':'t'},'responseElements':{'topicArn':'arn:t'}",
     "AWS::SNS::Topic t\nAWS::SNS::Topic arn:t\n"},
    {"sqs", "DeleteQueue", "'requestParameters':{'queueUrl':'https://q'}",
     "AWS::SQS::Queue https://q\n"},
    {"logs", "DeleteMetricFilter", "'requestParameters':{'logGroupName':'g','filterName':'f'}",
     "AWS::Logs::LogGroup g\nAWS::Logs::MetricFilter f\n"},
    {"secretsmanager", "DeleteSecret",
     "'requestParameters':{'secretId':'s'},'responseElements':{'aRN':'arn:s','name':'s'}",
     "AWS::SecretsManager::Secret s\nAWS::SecretsManager::Secret arn:s\n"},
    {"ssm", "SendCommand", "'requestParameters':{'instanceIds':['i-1','i-2'],'documentName':'d'}",
     "AWS::EC2::Instance i-1\nAWS::EC2::Instance i-2\nAWS::SSM::Document d\n"},
    {"ssm", "PutParameter", "'requestParameters':{'name':'/p'}", "AWS::SSM::Parameter /p\n"},
    {"organizations", "CloseAccount", "'requestParameters':{'accountId':'2'}",
     "AWS::Organizations::Account 2\n"},
    {"cloudformation", "CreateStack",
     "'requestParameters':{'stackName':'s'},'responseElements':{'stackId':'arn:s'}",
     "AWS::CloudFormation::Stack s\nAWS::CloudFormation::Stack arn:s\n"},
    {"ecs", "CreateService",
     "'requestParameters':{'cluster':'c','serviceName':'s','taskDefinition':'t:1'},"
     "'responseElements':{'service':{'serviceArn':'arn:s','clusterArn':'arn:c'}}",
     "AWS::ECS::Cluster c\nAWS::ECS::Service s\nAWS::ECS::TaskDefinition t:1\n"
     "AWS::ECS::Service arn:s\nAWS::ECS::Cluster arn:c\n"},
    {"eks", "CreateNodegroup", "'requestParameters':{'name':'c','nodegroupName':'n'}",
     "AWS::EKS::Cluster c\nAWS::EKS::Nodegroup n\n"},
    {"ecr", "PutImage", "'requestParameters':{'repositoryName':'r'}", "AWS::ECR::Repository r\n"},
    {"autoscaling", "UpdateAutoScalingGroup", "'requestParameters':{'autoScalingGroupName':'g'}",
     "AWS::AutoScaling::AutoScalingGroup g\n"},
    {"elasticloadbalancing", "CreateLoadBalancer",
     "'requestParameters':{'name':'l'},'responseElements':{'loadBalancers':[{'loadBalancerArn':'a'}"
     "]}",
     "AWS::ElasticLoadBalancingV2::LoadBalancer l\nAWS::ElasticLoadBalancingV2::LoadBalancer a\n"},
    {"config", "PutConfigRule", "'requestParameters':{'configRule':{'configRuleName':'r'}}",
     "AWS::Config::ConfigRule r\n"},
    {"guardduty", "DeleteDetector", "'requestParameters':{'detectorId':'d'}",
     "AWS::GuardDuty::Detector d\n"},
    {"route53", "CreateHostedZone",
     "'requestParameters':{'name':'x.org'},'responseElements':{'hostedZone':{'id':'Z1'}}",
     "AWS::Route53::HostedZone Z1\n"},
    {"cloudfront", "UpdateDistribution2020_05_31", "'requestParameters':{'id':'E1'}",
     "AWS::CloudFront::Distribution E1\n"},
    // Nobody's table, nothing to read, other types, empty texts.
    {"example", "CreateUser", "'requestParameters':{'userName':'eve'}", ""},
    {"iam", "DeleteUser", "'requestParameters':null,'responseElements':'none'", ""},
    {"iam", "DeleteUser", "'requestParameters':{'userName':{'userName':'x'},'roleName':7}", ""},
    {"iam", "DeleteUser", "'requestParameters':{'userName':''}", ""},
    // In any order, with what is escaped.
    {"iam", "DeleteUser",
     "'responseElements':null,'resources':[{'ARN':'arn:aws:iam::1:user/other','type':"
     "'AWS::IAM::User'}],'requestParameters':{'userName':'a\\u0062c'}",
     "AWS::IAM::User abc\n"},
};

static void print_text(const struct example *example, char *text, size_t size) {
    snprintf(text, size,
             "{'eventTime':'2023-07-10T11:45:01Z','eventSource':'%s.amazonaws.com',"
             "'eventName':'%s','awsRegion':'us-east-1',%s}",
             example->source, example->name, example->more);
    for (char *at = text; *at != 0; at++) {
        if (*at == '\'') *at = '"';
    }
}

static void test_each_service(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct arena *arena = arena_create(1024 * 1024);
    // Twice: what was parsed the first time is known the second.
    for (size_t index = 0; index < 2 * sizeof examples / sizeof examples[0]; index++) {
        const struct example *example = &examples[index / 2];
        char text[2048];
        char found[1024] = "";
        struct record record;
        enum record_refusal refusal;
        struct fault fault;
        print_text(example, text, sizeof text);
        assert_true(record_read(reader, arena, span_text(text), &record, &refusal, &fault));
        for (uint32_t at = 0; at < record.subjects_count; at++) {
            size_t size = strlen(found);
            snprintf(found + size, sizeof found - size, "%.*s %.*s\n",
                     SPAN_PRINT(record.subjects[at].type), SPAN_PRINT(record.subjects[at].name));
        }
        if (strcmp(found, example->subjects) != 0) {
            fail_msg("%s %s: %s", example->source, example->name, found);
        }
    }
    arena_destroy(arena);
    json_reader_destroy(reader);
}

// No call is about more than this many things.
static void test_many(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct arena *arena = arena_create(1024 * 1024);
    struct buffer text;
    struct record record;
    enum record_refusal refusal;
    struct fault fault;
    buffer_init(&text, 65536);
    buffer_append_text(&text,
                       "{\"eventTime\":\"2023-07-10T11:45:01Z\",\"eventSource\":"
                       "\"ec2.amazonaws.com\",\"eventName\":\"TerminateInstances\","
                       "\"requestParameters\":{\"instancesSet\":{\"items\":[");
    for (int number = 0; number < 500; number++) {
        buffer_print(&text, "%s{\"instanceId\":\"i-%d\"}", number > 0 ? "," : "", number);
    }
    buffer_append_text(&text, "]}}}");
    assert_true(record_read(reader, arena, buffer_span(&text), &record, &refusal, &fault));
    assert_int_equal(record.subjects_count, RECORD_SUBJECTS_MAX);
    assert_true(span_is(record.subjects[RECORD_SUBJECTS_MAX - 1].name, "i-63"));
    buffer_done(&text);
    arena_destroy(arena);
    json_reader_destroy(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_service),
        cmocka_unit_test(test_many),
    };
    return cases_run("subject", tests, sizeof tests / sizeof tests[0]);
}
