#!/bin/sh
# The AWS CLI of the local stage. Its version 1 does not ask AWS_ENDPOINT_URL for Amazon SQS.
aws=$(dirname -- "$0")/../bin/aws
endpoint=${AWS_ENDPOINT_URL_SQS:-${AWS_ENDPOINT_URL:-}}
sqs= given=
for word do
    case $word in
        sqs) sqs=yes ;;
        --endpoint-url | --endpoint-url=*) given=yes ;;
    esac
done
if [ "$sqs" ] && [ ! "$given" ] && [ "$endpoint" ]; then
    exec "$aws" --endpoint-url "$endpoint" "$@"
fi
exec "$aws" "$@"
