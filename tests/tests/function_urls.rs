//! Function URLs: who is let in, and what the function sees.
use std::process::Command;

use acceptance::{Reply, Stage, http_get, python, send};
use serde_json::json;
use ureq::http::Request;

/// The status of a request that is signed by a key.
fn signed(url: &str, access_key: &str, secret_key: &str) -> String {
    const SCRIPT: &str = "
import sys, urllib.error, urllib.request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
url, access_key, secret_key = sys.argv[1:]
request = AWSRequest('GET', url)
SigV4Auth(Credentials(access_key, secret_key), 'lambda', 'us-east-1').add_auth(request)
try:
    print(urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers))).status)
except urllib.error.HTTPError as error:
    print(error.code)
";
    let mut script = Command::new(python());
    script.args(["-c", SCRIPT, url, access_key, secret_key]);
    acceptance::succeed(&mut script).trim().to_owned()
}

fn from_page(url: &str) -> Reply {
    let request = Request::get(url).header("origin", "https://example.com");
    send(request.body(String::new()).unwrap())
}

#[test]
fn a_url_lets_in_who_signs_and_a_public_one_everybody() {
    let stage = Stage::start();
    let (kiosk, feed) = (stage.variable("KIOSK_URL"), stage.variable("FEED_URL"));
    assert_eq!(stage.xtask_ok(&["url", "kiosk"]).trim(), kiosk);

    stage.post("ORDERS_URL", "/orders", r#"{"id": "1", "photo": "a b"}"#);
    let order = json!([{"id": "1", "photo": "a b"}]);
    assert_eq!(http_get(feed).json(), order);
    let by_photo = http_get(&format!("{feed}any/path?photo=none"));
    assert_eq!(by_photo.json(), json!([]));

    assert_eq!(http_get(kiosk).status, 403);
    let root = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| stage.variable(name));
    assert_eq!(signed(kiosk, root[0], root[1]), "200");
    assert_eq!(signed(kiosk, root[0], "wrong"), "403");

    // A user needs the permission.
    stage.aws_ok(&["iam", "create-user", "--user-name", "guest"]);
    let key = stage.aws_json(&["iam", "create-access-key", "--user-name", "guest"]);
    let key =
        ["AccessKeyId", "SecretAccessKey"].map(|part| key["AccessKey"][part].as_str().unwrap());
    assert_eq!(signed(kiosk, key[0], key[1]), "403");
    let function = stage.physical_name("serve-shop");
    let allow = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
        "Resource": format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
    }]});
    let put = ["iam", "put-user-policy", "--user-name", "guest"];
    let allow = [
        "--policy-name",
        "call",
        "--policy-document",
        &allow.to_string(),
    ];
    stage.aws_ok(&[&put[..], &allow].concat());
    assert_eq!(signed(kiosk, key[0], key[1]), "200");

    // Pages of other origins may use what has a CORS configuration.
    let page = from_page(feed);
    assert_eq!(page.status, 200);
    assert_eq!(page.header("access-control-allow-origin"), Some("*"));
    assert_eq!(from_page(kiosk).status, 403);
}
