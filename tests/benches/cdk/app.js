// The small stack as the AWS CDK deploys it: the same template, with the code as assets.
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const { Asset } = require("aws-cdk-lib/aws-s3-assets");
const path = require("path");

const { TEMPLATE, ZIPS, CODE_VERSION } = process.env;
const env = { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION };
const stack = new Stack(new App(), "cdk-test", { env });
const zip = (name) => new Asset(stack, name, { path: path.join(ZIPS, `${name}-${CODE_VERSION}.zip`) });
const [reader, writer] = [zip("reader"), zip("writer")];
new CfnInclude(stack, "Template", {
  templateFile: TEMPLATE,
  parameters: {
    ArtifactBucket: reader.s3BucketName,
    ReaderCode: reader.s3ObjectKey,
    WriterCode: writer.s3ObjectKey,
  },
});
