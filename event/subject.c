#include "event/subject_internal.h"

// One parameter of a service's calls, and the type of what it names.
struct rule {
    uint8_t field;
    const char *event;  // of this call; with '*' at the end: of those that begin so; NULL: of any
    const char *type;   // NULL: what the first letters of the id say
};

struct service {
    const char *source;
    const struct rule *rules;
    size_t rules_count;
};

static const struct rule of_iam[] = {
    {SUBJECT_USER_NAME, NULL, "AWS::IAM::User"},
    {SUBJECT_ROLE_NAME, NULL, "AWS::IAM::Role"},
    {SUBJECT_GROUP_NAME, NULL, "AWS::IAM::Group"},
    {SUBJECT_POLICY_ARN, NULL, "AWS::IAM::Policy"},
    {SUBJECT_POLICY_NAME, "CreatePolicy", "AWS::IAM::Policy"},
    {SUBJECT_ACCESS_KEY_ID, NULL, "AWS::IAM::AccessKey"},
    {SUBJECT_INSTANCE_PROFILE_NAME, NULL, "AWS::IAM::InstanceProfile"},
    {SUBJECT_SERVER_CERTIFICATE_NAME, NULL, "AWS::IAM::ServerCertificate"},
    {SUBJECT_SAML_PROVIDER_ARN, NULL, "AWS::IAM::SAMLProvider"},
    {SUBJECT_OPEN_ID_CONNECT_PROVIDER_ARN, NULL, "AWS::IAM::OIDCProvider"},
    {SUBJECT_SERIAL_NUMBER, NULL, "AWS::IAM::MfaDevice"},
    {SUBJECT_VIRTUAL_MFA_DEVICE_NAME, NULL, "AWS::IAM::MfaDevice"},
    {SUBJECT_ARN, "CreateUser", "AWS::IAM::User"},
    {SUBJECT_ARN, "CreateRole", "AWS::IAM::Role"},
    {SUBJECT_ARN, "CreateServiceLinkedRole", "AWS::IAM::Role"},
    {SUBJECT_ARN, "CreateGroup", "AWS::IAM::Group"},
    {SUBJECT_ARN, "CreatePolicy", "AWS::IAM::Policy"},
    {SUBJECT_ARN, "CreateInstanceProfile", "AWS::IAM::InstanceProfile"},
};

static const struct rule of_sts[] = {
    {SUBJECT_ACCESS_KEY_ID, NULL, "AWS::IAM::AccessKey"},
    {SUBJECT_ROLE_ARN, NULL, "AWS::IAM::Role"},
    {SUBJECT_ARN, "AssumeRole*", "AWS::STS::AssumedRole"},
    {SUBJECT_ASSUMED_ROLE_ID, NULL, "AWS::STS::AssumedRole"},
    {SUBJECT_ARN, "GetFederationToken", "AWS::STS::FederatedUser"},
    {SUBJECT_SERIAL_NUMBER, NULL, "AWS::IAM::MfaDevice"},
};

// ConsoleLogin, as most of its events, is about nothing.
static const struct rule of_signin[] = {
    {SUBJECT_ACCESS_KEY_ID, NULL, "AWS::IAM::AccessKey"},
};

static const struct rule of_ec2[] = {
    {SUBJECT_INSTANCE_ID, NULL, "AWS::EC2::Instance"},
    {SUBJECT_INSTANCE_IDS, NULL, "AWS::EC2::Instance"},
    {SUBJECT_IMAGE_ID, NULL, "AWS::EC2::Ami"},
    {SUBJECT_VOLUME_ID, NULL, "AWS::EC2::Volume"},
    {SUBJECT_SNAPSHOT_ID, NULL, "AWS::EC2::Snapshot"},
    {SUBJECT_VPC_ID, NULL, "AWS::EC2::VPC"},
    {SUBJECT_SUBNET_ID, NULL, "AWS::EC2::Subnet"},
    {SUBJECT_GROUP_ID, NULL, "AWS::EC2::SecurityGroup"},
    {SUBJECT_GROUP_NAME, "CreateSecurityGroup", "AWS::EC2::SecurityGroup"},
    {SUBJECT_GROUP_NAME, "DeleteSecurityGroup", "AWS::EC2::SecurityGroup"},
    {SUBJECT_GROUP_NAME, "AuthorizeSecurityGroup*", "AWS::EC2::SecurityGroup"},
    {SUBJECT_GROUP_NAME, "RevokeSecurityGroup*", "AWS::EC2::SecurityGroup"},
    {SUBJECT_GROUP_NAME, "CreatePlacementGroup", "AWS::EC2::PlacementGroup"},
    {SUBJECT_GROUP_NAME, "DeletePlacementGroup", "AWS::EC2::PlacementGroup"},
    {SUBJECT_KEY_NAME, NULL, "AWS::EC2::KeyPair"},
    {SUBJECT_NETWORK_INTERFACE_ID, NULL, "AWS::EC2::NetworkInterface"},
    {SUBJECT_ROUTE_TABLE_ID, NULL, "AWS::EC2::RouteTable"},
    {SUBJECT_INTERNET_GATEWAY_ID, NULL, "AWS::EC2::InternetGateway"},
    {SUBJECT_NAT_GATEWAY_ID, NULL, "AWS::EC2::NatGateway"},
    {SUBJECT_NETWORK_ACL_ID, NULL, "AWS::EC2::NetworkAcl"},
    {SUBJECT_ALLOCATION_ID, NULL, "AWS::EC2::EIP"},
    {SUBJECT_PUBLIC_IP, NULL, "AWS::EC2::EIP"},
    {SUBJECT_LAUNCH_TEMPLATE_ID, NULL, "AWS::EC2::LaunchTemplate"},
    {SUBJECT_LAUNCH_TEMPLATE_NAME, NULL, "AWS::EC2::LaunchTemplate"},
    {SUBJECT_VPC_ENDPOINT_ID, NULL, "AWS::EC2::VPCEndpoint"},
    {SUBJECT_VPC_PEERING_CONNECTION_ID, NULL, "AWS::EC2::VPCPeeringConnection"},
    {SUBJECT_VPN_CONNECTION_ID, NULL, "AWS::EC2::VPNConnection"},
    {SUBJECT_VPN_GATEWAY_ID, NULL, "AWS::EC2::VPNGateway"},
    {SUBJECT_CUSTOMER_GATEWAY_ID, NULL, "AWS::EC2::CustomerGateway"},
    {SUBJECT_DHCP_OPTIONS_ID, NULL, "AWS::EC2::DHCPOptions"},
    {SUBJECT_TRANSIT_GATEWAY_ID, NULL, "AWS::EC2::TransitGateway"},
    {SUBJECT_RESOURCE_ID, NULL, NULL},
};

static const struct rule of_s3[] = {
    {SUBJECT_BUCKET_NAME, NULL, "AWS::S3::Bucket"},
};

static const struct rule of_kms[] = {
    {SUBJECT_KEY_ID, NULL, "AWS::KMS::Key"},
    {SUBJECT_TARGET_KEY_ID, NULL, "AWS::KMS::Key"},
    {SUBJECT_ALIAS_NAME, NULL, "AWS::KMS::Alias"},
};

static const struct rule of_lambda[] = {
    {SUBJECT_FUNCTION_NAME, NULL, "AWS::Lambda::Function"},
    {SUBJECT_FUNCTION_ARN, NULL, "AWS::Lambda::Function"},
    {SUBJECT_LAYER_NAME, NULL, "AWS::Lambda::LayerVersion"},
    {SUBJECT_UUID, NULL, "AWS::Lambda::EventSourceMapping"},
    {SUBJECT_CODE_SIGNING_CONFIG_ARN, NULL, "AWS::Lambda::CodeSigningConfig"},
};

static const struct rule of_rds[] = {
    {SUBJECT_DB_INSTANCE_IDENTIFIER, NULL, "AWS::RDS::DBInstance"},
    {SUBJECT_DB_INSTANCE_ARN, NULL, "AWS::RDS::DBInstance"},
    {SUBJECT_DB_CLUSTER_IDENTIFIER, NULL, "AWS::RDS::DBCluster"},
    {SUBJECT_DB_SNAPSHOT_IDENTIFIER, NULL, "AWS::RDS::DBSnapshot"},
    {SUBJECT_DB_CLUSTER_SNAPSHOT_IDENTIFIER, NULL, "AWS::RDS::DBClusterSnapshot"},
    {SUBJECT_DB_SUBNET_GROUP_NAME, NULL, "AWS::RDS::DBSubnetGroup"},
    {SUBJECT_DB_PARAMETER_GROUP_NAME, NULL, "AWS::RDS::DBParameterGroup"},
    {SUBJECT_DB_CLUSTER_PARAMETER_GROUP_NAME, NULL, "AWS::RDS::DBClusterParameterGroup"},
    {SUBJECT_DB_SECURITY_GROUP_NAME, NULL, "AWS::RDS::DBSecurityGroup"},
    {SUBJECT_OPTION_GROUP_NAME, NULL, "AWS::RDS::OptionGroup"},
    {SUBJECT_GLOBAL_CLUSTER_IDENTIFIER, NULL, "AWS::RDS::GlobalCluster"},
    {SUBJECT_SUBSCRIPTION_NAME, NULL, "AWS::RDS::EventSubscription"},
    {SUBJECT_DB_PROXY_NAME, NULL, "AWS::RDS::DBProxy"},
};

static const struct rule of_dynamodb[] = {
    {SUBJECT_TABLE_NAME, NULL, "AWS::DynamoDB::Table"},
    {SUBJECT_TABLE_ARN, NULL, "AWS::DynamoDB::Table"},
    {SUBJECT_GLOBAL_TABLE_NAME, NULL, "AWS::DynamoDB::GlobalTable"},
    {SUBJECT_BACKUP_ARN, NULL, "AWS::DynamoDB::Backup"},
};

static const struct rule of_cloudtrail[] = {
    {SUBJECT_NAME, "CreateTrail", "AWS::CloudTrail::Trail"},
    {SUBJECT_NAME, "UpdateTrail", "AWS::CloudTrail::Trail"},
    {SUBJECT_NAME, "DeleteTrail", "AWS::CloudTrail::Trail"},
    {SUBJECT_NAME, "StartLogging", "AWS::CloudTrail::Trail"},
    {SUBJECT_NAME, "StopLogging", "AWS::CloudTrail::Trail"},
    {SUBJECT_TRAIL_NAME, NULL, "AWS::CloudTrail::Trail"},
    {SUBJECT_TRAIL_ARN, NULL, "AWS::CloudTrail::Trail"},
    {SUBJECT_RESOURCE_ID, NULL, "AWS::CloudTrail::Trail"},
    {SUBJECT_EVENT_DATA_STORE, NULL, "AWS::CloudTrail::EventDataStore"},
    {SUBJECT_NAME, "CreateEventDataStore", "AWS::CloudTrail::EventDataStore"},
    {SUBJECT_S3_BUCKET_NAME, NULL, "AWS::S3::Bucket"},
    {SUBJECT_SNS_TOPIC_NAME, NULL, "AWS::SNS::Topic"},
    {SUBJECT_KMS_KEY_ID, NULL, "AWS::KMS::Key"},
    {SUBJECT_CLOUD_WATCH_LOGS_LOG_GROUP_ARN, NULL, "AWS::Logs::LogGroup"},
    {SUBJECT_CLOUD_WATCH_LOGS_ROLE_ARN, NULL, "AWS::IAM::Role"},
};

static const struct rule of_sns[] = {
    {SUBJECT_TOPIC_ARN, NULL, "AWS::SNS::Topic"},
    {SUBJECT_NAME, "CreateTopic", "AWS::SNS::Topic"},
    {SUBJECT_SUBSCRIPTION_ARN, NULL, "AWS::SNS::Subscription"},
    {SUBJECT_PLATFORM_APPLICATION_ARN, NULL, "AWS::SNS::PlatformApplication"},
};

static const struct rule of_sqs[] = {
    {SUBJECT_QUEUE_URL, NULL, "AWS::SQS::Queue"},
    {SUBJECT_QUEUE_NAME, NULL, "AWS::SQS::Queue"},
};

static const struct rule of_logs[] = {
    {SUBJECT_LOG_GROUP_NAME, NULL, "AWS::Logs::LogGroup"},
    {SUBJECT_LOG_GROUP_IDENTIFIER, NULL, "AWS::Logs::LogGroup"},
    {SUBJECT_LOG_STREAM_NAME, NULL, "AWS::Logs::LogStream"},
    {SUBJECT_FILTER_NAME, "PutMetricFilter", "AWS::Logs::MetricFilter"},
    {SUBJECT_FILTER_NAME, "DeleteMetricFilter", "AWS::Logs::MetricFilter"},
    {SUBJECT_FILTER_NAME, "PutSubscriptionFilter", "AWS::Logs::SubscriptionFilter"},
    {SUBJECT_FILTER_NAME, "DeleteSubscriptionFilter", "AWS::Logs::SubscriptionFilter"},
    {SUBJECT_DESTINATION_NAME, NULL, "AWS::Logs::Destination"},
};

static const struct rule of_secretsmanager[] = {
    {SUBJECT_SECRET_ID, NULL, "AWS::SecretsManager::Secret"},
    {SUBJECT_NAME, "CreateSecret", "AWS::SecretsManager::Secret"},
    {SUBJECT_ARN, NULL, "AWS::SecretsManager::Secret"},
    {SUBJECT_BIG_ARN, NULL, "AWS::SecretsManager::Secret"},
};

static const struct rule of_ssm[] = {
    {SUBJECT_NAME, "PutParameter", "AWS::SSM::Parameter"},
    {SUBJECT_NAME, "DeleteParameter", "AWS::SSM::Parameter"},
    {SUBJECT_NAMES, "DeleteParameters", "AWS::SSM::Parameter"},
    {SUBJECT_NAME, "LabelParameterVersion", "AWS::SSM::Parameter"},
    {SUBJECT_NAME, "CreateDocument", "AWS::SSM::Document"},
    {SUBJECT_NAME, "UpdateDocument*", "AWS::SSM::Document"},
    {SUBJECT_NAME, "DeleteDocument", "AWS::SSM::Document"},
    {SUBJECT_NAME, "ModifyDocumentPermission", "AWS::SSM::Document"},
    {SUBJECT_NAME, "CreateAssociation", "AWS::SSM::Document"},
    {SUBJECT_DOCUMENT_NAME, NULL, "AWS::SSM::Document"},
    {SUBJECT_INSTANCE_ID, NULL, "AWS::EC2::Instance"},
    {SUBJECT_INSTANCE_IDS, NULL, "AWS::EC2::Instance"},
    {SUBJECT_TARGET, "StartSession", "AWS::EC2::Instance"},
    {SUBJECT_SESSION_ID, NULL, "AWS::SSM::Session"},
    {SUBJECT_ASSOCIATION_ID, NULL, "AWS::SSM::Association"},
    {SUBJECT_WINDOW_ID, NULL, "AWS::SSM::MaintenanceWindow"},
    {SUBJECT_BASELINE_ID, NULL, "AWS::SSM::PatchBaseline"},
};

static const struct rule of_organizations[] = {
    {SUBJECT_ACCOUNT_ID, NULL, "AWS::Organizations::Account"},
    {SUBJECT_POLICY_ID, NULL, "AWS::Organizations::Policy"},
    {SUBJECT_ORGANIZATIONAL_UNIT_ID, NULL, "AWS::Organizations::OrganizationalUnit"},
    {SUBJECT_ID, "CreateOrganizationalUnit", "AWS::Organizations::OrganizationalUnit"},
    {SUBJECT_HANDSHAKE_ID, NULL, "AWS::Organizations::Handshake"},
};

static const struct rule of_cloudformation[] = {
    {SUBJECT_STACK_NAME, NULL, "AWS::CloudFormation::Stack"},
    {SUBJECT_STACK_ID, NULL, "AWS::CloudFormation::Stack"},
    {SUBJECT_STACK_SET_NAME, NULL, "AWS::CloudFormation::StackSet"},
    {SUBJECT_CHANGE_SET_NAME, NULL, "AWS::CloudFormation::ChangeSet"},
};

static const struct rule of_ecs[] = {
    {SUBJECT_CLUSTER, NULL, "AWS::ECS::Cluster"},
    {SUBJECT_CLUSTER_NAME, NULL, "AWS::ECS::Cluster"},
    {SUBJECT_CLUSTER_ARN, NULL, "AWS::ECS::Cluster"},
    {SUBJECT_SERVICE, NULL, "AWS::ECS::Service"},
    {SUBJECT_SERVICE_NAME, NULL, "AWS::ECS::Service"},
    {SUBJECT_SERVICE_ARN, NULL, "AWS::ECS::Service"},
    {SUBJECT_FAMILY, NULL, "AWS::ECS::TaskDefinition"},
    {SUBJECT_TASK_DEFINITION, NULL, "AWS::ECS::TaskDefinition"},
    {SUBJECT_TASK_DEFINITION_ARN, NULL, "AWS::ECS::TaskDefinition"},
    {SUBJECT_TASK, NULL, "AWS::ECS::Task"},
    {SUBJECT_CONTAINER_INSTANCE, NULL, "AWS::ECS::ContainerInstance"},
};

// Where a cluster is part of a call's path it is called name.
static const struct rule of_eks[] = {
    {SUBJECT_NAME, NULL, "AWS::EKS::Cluster"},
    {SUBJECT_CLUSTER_NAME, NULL, "AWS::EKS::Cluster"},
    {SUBJECT_NODEGROUP_NAME, NULL, "AWS::EKS::Nodegroup"},
    {SUBJECT_ADDON_NAME, NULL, "AWS::EKS::Addon"},
    {SUBJECT_FARGATE_PROFILE_NAME, NULL, "AWS::EKS::FargateProfile"},
};

static const struct rule of_ecr[] = {
    {SUBJECT_REPOSITORY_NAME, NULL, "AWS::ECR::Repository"},
};

static const struct rule of_autoscaling[] = {
    {SUBJECT_AUTO_SCALING_GROUP_NAME, NULL, "AWS::AutoScaling::AutoScalingGroup"},
    {SUBJECT_LAUNCH_CONFIGURATION_NAME, NULL, "AWS::AutoScaling::LaunchConfiguration"},
    {SUBJECT_POLICY_NAME, NULL, "AWS::AutoScaling::ScalingPolicy"},
    {SUBJECT_LIFECYCLE_HOOK_NAME, NULL, "AWS::AutoScaling::LifecycleHook"},
    {SUBJECT_SCHEDULED_ACTION_NAME, NULL, "AWS::AutoScaling::ScheduledAction"},
    {SUBJECT_INSTANCE_ID, NULL, "AWS::EC2::Instance"},
    {SUBJECT_INSTANCE_IDS, NULL, "AWS::EC2::Instance"},
};

static const struct rule of_elasticloadbalancing[] = {
    {SUBJECT_LOAD_BALANCER_NAME, NULL, "AWS::ElasticLoadBalancing::LoadBalancer"},
    {SUBJECT_LOAD_BALANCER_ARN, NULL, "AWS::ElasticLoadBalancingV2::LoadBalancer"},
    {SUBJECT_NAME, "CreateLoadBalancer", "AWS::ElasticLoadBalancingV2::LoadBalancer"},
    {SUBJECT_NAME, "CreateTargetGroup", "AWS::ElasticLoadBalancingV2::TargetGroup"},
    {SUBJECT_TARGET_GROUP_ARN, NULL, "AWS::ElasticLoadBalancingV2::TargetGroup"},
    {SUBJECT_LISTENER_ARN, NULL, "AWS::ElasticLoadBalancingV2::Listener"},
    {SUBJECT_RULE_ARN, NULL, "AWS::ElasticLoadBalancingV2::ListenerRule"},
};

static const struct rule of_config[] = {
    {SUBJECT_CONFIG_RULE_NAME, NULL, "AWS::Config::ConfigRule"},
    {SUBJECT_CONFIGURATION_RECORDER_NAME, NULL, "AWS::Config::ConfigurationRecorder"},
    {SUBJECT_NAME, "PutConfigurationRecorder", "AWS::Config::ConfigurationRecorder"},
    {SUBJECT_DELIVERY_CHANNEL_NAME, NULL, "AWS::Config::DeliveryChannel"},
    {SUBJECT_NAME, "PutDeliveryChannel", "AWS::Config::DeliveryChannel"},
    {SUBJECT_CONFORMANCE_PACK_NAME, NULL, "AWS::Config::ConformancePack"},
    {SUBJECT_CONFIGURATION_AGGREGATOR_NAME, NULL, "AWS::Config::ConfigurationAggregator"},
};

static const struct rule of_guardduty[] = {
    {SUBJECT_DETECTOR_ID, NULL, "AWS::GuardDuty::Detector"},
    {SUBJECT_IP_SET_ID, NULL, "AWS::GuardDuty::IPSet"},
    {SUBJECT_THREAT_INTEL_SET_ID, NULL, "AWS::GuardDuty::ThreatIntelSet"},
    {SUBJECT_FILTER_NAME, NULL, "AWS::GuardDuty::Filter"},
    {SUBJECT_DESTINATION_ID, NULL, "AWS::GuardDuty::PublishingDestination"},
};

static const struct rule of_route53[] = {
    {SUBJECT_HOSTED_ZONE_ID, NULL, "AWS::Route53::HostedZone"},
    {SUBJECT_ID, "CreateHostedZone", "AWS::Route53::HostedZone"},
    {SUBJECT_ID, "DeleteHostedZone", "AWS::Route53::HostedZone"},
    {SUBJECT_ID, "UpdateHostedZoneComment", "AWS::Route53::HostedZone"},
    {SUBJECT_HEALTH_CHECK_ID, NULL, "AWS::Route53::HealthCheck"},
};

static const struct rule of_cloudfront[] = {
    {SUBJECT_ID, "CreateDistribution*", "AWS::CloudFront::Distribution"},
    {SUBJECT_ID, "UpdateDistribution*", "AWS::CloudFront::Distribution"},
    {SUBJECT_ID, "DeleteDistribution*", "AWS::CloudFront::Distribution"},
    {SUBJECT_DISTRIBUTION_ID, NULL, "AWS::CloudFront::Distribution"},
    {SUBJECT_NAME, "CreateFunction*", "AWS::CloudFront::Function"},
    {SUBJECT_NAME, "UpdateFunction*", "AWS::CloudFront::Function"},
    {SUBJECT_NAME, "PublishFunction*", "AWS::CloudFront::Function"},
    {SUBJECT_NAME, "DeleteFunction*", "AWS::CloudFront::Function"},
};

static const struct rule of_events[] = {
    {SUBJECT_NAME, "PutRule", "AWS::Events::Rule"},
    {SUBJECT_NAME, "DeleteRule", "AWS::Events::Rule"},
    {SUBJECT_NAME, "DisableRule", "AWS::Events::Rule"},
    {SUBJECT_NAME, "EnableRule", "AWS::Events::Rule"},
    {SUBJECT_RULE, NULL, "AWS::Events::Rule"},
};

static const struct rule of_monitoring[] = {
    {SUBJECT_ALARM_NAME, NULL, "AWS::CloudWatch::Alarm"},
    {SUBJECT_ALARM_NAMES, NULL, "AWS::CloudWatch::Alarm"},
};

static const struct rule of_kinesis[] = {
    {SUBJECT_STREAM_NAME, NULL, "AWS::Kinesis::Stream"},
};

static const struct rule of_states[] = {
    {SUBJECT_STATE_MACHINE_ARN, NULL, "AWS::StepFunctions::StateMachine"},
    {SUBJECT_NAME, "CreateStateMachine", "AWS::StepFunctions::StateMachine"},
};

static const struct rule of_acm[] = {
    {SUBJECT_CERTIFICATE_ARN, NULL, "AWS::CertificateManager::Certificate"},
};

static const struct rule of_efs[] = {
    {SUBJECT_FILE_SYSTEM_ID, NULL, "AWS::EFS::FileSystem"},
};

static const struct rule of_redshift[] = {
    {SUBJECT_CLUSTER_IDENTIFIER, NULL, "AWS::Redshift::Cluster"},
};

#define SERVICE(source, rules) \
    { source ".amazonaws.com", rules, sizeof(rules) / sizeof(rules)[0] }

static const struct service services[] = {
    SERVICE("sts", of_sts),
    SERVICE("ec2", of_ec2),
    SERVICE("iam", of_iam),
    SERVICE("s3", of_s3),
    SERVICE("kms", of_kms),
    SERVICE("lambda", of_lambda),
    SERVICE("logs", of_logs),
    SERVICE("ssm", of_ssm),
    SERVICE("rds", of_rds),
    SERVICE("dynamodb", of_dynamodb),
    SERVICE("cloudtrail", of_cloudtrail),
    SERVICE("sns", of_sns),
    SERVICE("sqs", of_sqs),
    SERVICE("secretsmanager", of_secretsmanager),
    SERVICE("organizations", of_organizations),
    SERVICE("cloudformation", of_cloudformation),
    SERVICE("ecs", of_ecs),
    SERVICE("eks", of_eks),
    SERVICE("ecr", of_ecr),
    SERVICE("autoscaling", of_autoscaling),
    SERVICE("elasticloadbalancing", of_elasticloadbalancing),
    SERVICE("config", of_config),
    SERVICE("guardduty", of_guardduty),
    SERVICE("route53", of_route53),
    SERVICE("cloudfront", of_cloudfront),
    SERVICE("signin", of_signin),
    SERVICE("events", of_events),
    SERVICE("monitoring", of_monitoring),
    SERVICE("kinesis", of_kinesis),
    SERVICE("states", of_states),
    SERVICE("acm", of_acm),
    SERVICE("elasticfilesystem", of_efs),
    SERVICE("redshift", of_redshift),
};

// What the ids of EC2 begin with, where a parameter takes ids of any kind.
static const char *const prefixes[][2] = {
    {"i-", "AWS::EC2::Instance"},       {"vol-", "AWS::EC2::Volume"},
    {"snap-", "AWS::EC2::Snapshot"},    {"ami-", "AWS::EC2::Ami"},
    {"vpc-", "AWS::EC2::VPC"},          {"subnet-", "AWS::EC2::Subnet"},
    {"sg-", "AWS::EC2::SecurityGroup"}, {"eni-", "AWS::EC2::NetworkInterface"},
    {"rtb-", "AWS::EC2::RouteTable"},   {"igw-", "AWS::EC2::InternetGateway"},
    {"nat-", "AWS::EC2::NatGateway"},   {"acl-", "AWS::EC2::NetworkAcl"},
    {"eipalloc-", "AWS::EC2::EIP"},     {"lt-", "AWS::EC2::LaunchTemplate"},
    {"vpce-", "AWS::EC2::VPCEndpoint"}, {"tgw-", "AWS::EC2::TransitGateway"},
};

// What only reads is about nothing, but for those who take on a role: that makes credentials.
static bool is_about_something(const struct record *record) {
    if (record->category != RECORD_MANAGEMENT) return false;
    return !record->is_read_only || (span_is(record->event_source, "sts.amazonaws.com") &&
                                     span_starts(record->event_name, SPAN_LITERAL("AssumeRole")));
}

static const struct service *find_service(struct span source) {
    for (size_t index = 0; index < sizeof services / sizeof services[0]; index++) {
        if (span_is(source, services[index].source)) return &services[index];
    }
    return NULL;
}

static bool is_of_event(const struct rule *rule, struct span name) {
    if (rule->event == NULL) return true;
    struct span wanted = span_text(rule->event);
    if (wanted.bytes[wanted.size - 1] != '*') return span_equal(name, wanted);
    wanted.size--;
    return span_starts(name, wanted);
}

static const char *type_of_id(struct span id) {
    for (size_t index = 0; index < sizeof prefixes / sizeof prefixes[0]; index++) {
        if (span_starts(id, span_text(prefixes[index][0]))) return prefixes[index][1];
    }
    return NULL;
}

// The type of what a parameter names, or NULL.
static const char *find_type(const struct service *service, const struct record *record,
                             const struct json_pick *pick) {
    for (size_t index = 0; index < service->rules_count; index++) {
        const struct rule *rule = &service->rules[index];
        if (rule->field != pick->field || !is_of_event(rule, record->event_name)) continue;
        return rule->type != NULL ? rule->type : type_of_id(pick->string);
    }
    return NULL;
}

static bool is_in(const struct record_resource *resources, uint32_t count,
                  const struct record_resource *wanted) {
    for (uint32_t index = 0; index < count; index++) {
        const struct record_resource *other = &resources[index];
        if (!span_equal(other->type, wanted->type)) continue;
        if (span_equal(other->name, wanted->name)) return true;
        if (span_equal(record_short_name(other->name), wanted->name)) return true;
    }
    return false;
}

static void add(struct record *record, struct record_resource subject) {
    if (is_in(record->resources, record->resources_count, &subject) ||
        is_in(record->subjects, record->subjects_count, &subject) ||
        record->subjects_count == RECORD_SUBJECTS_MAX) {
        return;
    }
    record->subjects[record->subjects_count++] = subject;
}

bool subject_find(struct record *record, const struct json_pick *picks, uint32_t count,
                  struct arena *arena) {
    if (count == 0 || !is_about_something(record)) return true;
    const struct service *service = find_service(record->event_source);
    if (service == NULL) return true;
    for (uint32_t index = 0; index < count; index++) {
        const struct json_pick *pick = &picks[index];
        if (pick->field < SUBJECT_FIRST || pick->string.size == 0) continue;
        const char *type = find_type(service, record, pick);
        if (type == NULL) continue;
        if (record->subjects == NULL) {
            uint32_t room = count < RECORD_SUBJECTS_MAX ? count : RECORD_SUBJECTS_MAX;
            record->subjects = arena_allocate(arena, room * sizeof *record->subjects);
            if (record->subjects == NULL) return false;
        }
        add(record, (struct record_resource){.name = pick->string, .type = span_text(type)});
    }
    return true;
}
