#!/bin/sh
# Trains a model with SageMaker: cloud.sh DATA OUT -bucket NAME -role ARN [-region NAME] [-instance TYPE] [-image URI] [-prefix PATH] [-wait SECONDS] [FLAGS of train.py]
#
# DATA and this folder's programs go to the bucket, a training job of the built-in XGBoost container runs train.py there, and OUT gets
# its model.ubj and golden.csv and the reports. It needs the AWS CLI with credentials, and a role that SageMaker may take and that may
# read and write s3://NAME/PATH/. An interrupted run leaves the job to itself; it ends by itself, and costs what it takes.
set -eu

usage() {
  echo "usage: cloud.sh DATA OUT -bucket NAME -role ARN [-region NAME] [-instance TYPE] [-image URI] [-prefix PATH] [-wait SECONDS] [FLAG VALUE]..." >&2
  exit 2
}

data='' out='' bucket='' role='' region='' instance=ml.m5.large image='' prefix=training pause=15 parameters='' places=0
while [ $# -gt 0 ]; do
  case $1 in
  -*) [ $# -gt 1 ] || usage ;;
  esac
  case $1 in
  -bucket | --bucket) bucket=$2 ;;
  -role | --role) role=$2 ;;
  -region | --region) region=$2 ;;
  -instance | --instance) instance=$2 ;;
  -image | --image) image=$2 ;;
  -prefix | --prefix) prefix=${2%/} ;;
  -wait | --wait) pause=$2 ;;
  -label | -separator | -drop | -by | -cost-miss | -cost-false | -search | -tests | -seed | -name)
    value=$(printf %s "$2" | sed 's/[\\"]/\\&/g')
    parameters="$parameters, \"${1#-}\": \"$value\""
    ;;
  -*) usage ;;
  *)
    places=$((places + 1))
    case $places in
    1) data=$1 ;;
    2) out=$1 ;;
    *) usage ;;
    esac
    shift
    continue
    ;;
  esac
  shift 2
done

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=scripts/train/env.sh
. "$root/scripts/train/env.sh"
[ -n "$out" ] || usage
[ -n "$bucket" ] || fail "name the bucket for the table and the model: -bucket NAME"
[ -n "$role" ] || fail "name the role that the training job takes: -role ARN"
[ -f "$data" ] || fail "there is no file $data"
command -v aws >/dev/null || fail "the AWS CLI is missing: pip install awscli, or https://aws.amazon.com/cli/"
region=${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}}
[ -n "$region" ] || fail "name the region: -region NAME"
export AWS_DEFAULT_REGION="$region" AWS_PAGER=''
if [ -z "$image" ]; then # the template knows where AWS keeps the container
  account=$(sed -n "s/^ *$region: {Account: \"\([0-9]*\)\"}.*/\1/p" "$root/scripts/cloud/template.yaml")
  [ -n "$account" ] || fail "it is not known where SageMaker's XGBoost container is in the region $region: name it with -image URI"
  image=$account.dkr.ecr.$region.amazonaws.com/sagemaker-xgboost:3.0-5
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# step runs a command of the AWS CLI; what fails is said with what it was for.
step() {
  what=$1
  shift
  aws "$@" 2>"$work/error" || fail "$what: $(tr '\n' ' ' <"$work/error" | sed 's/^ *//')"
}

say() { echo "train-cloud: $*" >&2; }

need_python
python3 -B "$here/table.py" "$data" >"$work/table" || exit 1 # before anything is paid for
who=$(step "ask who we are (are there credentials? aws configure)" sts get-caller-identity --query Arn --output text)
say "as $who in $region: $(sed 's/^train: //' "$work/table")"

job=edgepdm-$(date -u +%Y%m%d-%H%M%S)-$$
place=s3://$bucket/$prefix/$job
(cd "$here" && tar -czf "$work/sourcedir.tar.gz" ./*.py) # without requirements.txt: the container has XGBoost
say "uploading to $place"
step "upload the table" s3 cp --only-show-errors "$data" "$place/input/$(basename -- "$data")"
step "upload the programs" s3 cp --only-show-errors "$work/sourcedir.tar.gz" "$place/sourcedir.tar.gz"

cat >"$work/job.json" <<JOB
{
  "TrainingJobName": "$job",
  "RoleArn": "$role",
  "AlgorithmSpecification": {"TrainingImage": "$image", "TrainingInputMode": "File"},
  "HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": "$place/sourcedir.tar.gz"$parameters},
  "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource":
    {"S3DataType": "S3Prefix", "S3Uri": "$place/input/", "S3DataDistributionType": "FullyReplicated"}}}],
  "OutputDataConfig": {"S3OutputPath": "s3://$bucket/$prefix/"},
  "ResourceConfig": {"InstanceCount": 1, "InstanceType": "$instance", "VolumeSizeInGB": 10},
  "StoppingCondition": {"MaxRuntimeInSeconds": 7200}
}
JOB
step "start the training job" sagemaker create-training-job --cli-input-json "file://$work/job.json" >/dev/null
say "job $job on one $instance"

began=$(date +%s) last=''
while :; do
  now=$(step "look after the job $job" sagemaker describe-training-job --training-job-name "$job" --query '[TrainingJobStatus,SecondaryStatus]' --output text)
  state=${now%%	*}
  if [ -t 2 ]; then
    printf '\r\033[Ktrain-cloud: %s, %d s' "$now" $(($(date +%s) - began)) >&2
  elif [ "$now" != "$last" ]; then
    say "$now"
  fi
  last=$now
  case $state in
  InProgress | Stopping) sleep "$pause" ;;
  *) break ;;
  esac
done
[ ! -t 2 ] || echo >&2
if [ "$state" != Completed ]; then
  reason=$(step "ask why the job $job failed" sagemaker describe-training-job --training-job-name "$job" --query FailureReason --output text)
  fail "the job $job is $state: $reason (its log: CloudWatch, /aws/sagemaker/TrainingJobs, $job)"
fi

mkdir -p "$out" || fail "the folder $out cannot be made"
step "download the model" s3 cp --only-show-errors "$place/output/model.tar.gz" "$work/model.tar.gz"
tar -xzf "$work/model.tar.gz" -C "$out" model.ubj golden.csv || fail "the job's model.tar.gz has not model.ubj and golden.csv"
if aws s3 cp --only-show-errors "$place/output/output.tar.gz" "$work/output.tar.gz" 2>"$work/error"; then
  tar -xzf "$work/output.tar.gz" -C "$out" report.md report.json report.html || fail "the job's output.tar.gz has no reports"
else
  say "the job left no reports: $(tr '\n' ' ' <"$work/error")"
fi
say "the model is in $out: bin/model-fetcher pack -dir $out"
