"""Prints what an account of moto has, one resource a line: inventory.py URL REGION."""

import sys

import boto3
from botocore.config import Config

LISTS = [
    ("cloudformation", "describe_stacks", "Stacks", "StackName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("events", "list_rules", "Rules", "Name"),
    ("firehose", "list_delivery_streams", "DeliveryStreamNames", None),
    ("glue", "list_jobs", "JobNames", None),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("iot", "list_certificates", "certificates", "certificateId"),
    ("iot", "list_policies", "policies", "policyName"),
    ("iot", "list_role_aliases", "roleAliases", None),
    ("iot", "list_thing_groups", "thingGroups", "groupName"),
    ("iot", "list_things", "things", "thingName"),
    ("iot", "list_topic_rules", "rules", "ruleName"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName"),
    ("secretsmanager", "list_secrets", "SecretList", "Name"),
    ("sns", "list_subscriptions", "Subscriptions", "Endpoint"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("sqs", "list_queues", "QueueUrls", None),
    ("stepfunctions", "list_state_machines", "stateMachines", "name"),
]

url, region = sys.argv[1:]
for service, operation, key, name in LISTS:
    client = boto3.client(
        service, endpoint_url=url, region_name=region, aws_access_key_id="key", aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 1}),
    )
    for item in getattr(client, operation)().get(key, []):
        print(service, key, item[name] if name else item)
