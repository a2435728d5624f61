//! The template of an HTTP API.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Cors, Declaration, Route, path};
use crate::cloudformation::{Resource, reference, sub};
use crate::function::Function;
use crate::name;
use crate::origin::Origin;
use crate::stage::{Authorization, DEFAULT_ROUTE};
use crate::synthesis::Synthesis;

/// How long a browser may rely on the answer to a preflight request.
pub(in crate::kind) const CORS_MAX_AGE_SECONDS: u32 = 60 * 60;

/// The headers of a signature.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
pub(in crate::kind) const SIGNATURE_HEADERS: [&str; 4] = [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

impl Declaration {
    pub(super) fn synth_api(&self, synthesis: &mut Synthesis<'_>) {
        let logical_id = self.named.id.logical_id();
        let name = format!("${{AWS::StackName}}-{}", self.named.id.name());
        let log_group_id = format!("{logical_id}AccessLogGroup");
        // API Gateway extends a resource policy of limited size for every log group
        // without this prefix.
        let log_group_name = format!("/aws/vendedlogs/apis/{name}");
        synthesis.log_group(&log_group_id, self.named.origin, &log_group_name);
        let access_log = json!({
            "requestId": "$context.requestId",
            "requestTime": "$context.requestTime",
            "routeKey": "$context.routeKey",
            "path": "$context.path",
            "status": "$context.status",
            "responseLatencyMs": "$context.responseLatency",
            "integrationError": "$context.integrationErrorMessage",
        });
        let mut properties = json!({
            "Name": sub(&name),
            "ProtocolType": "HTTP",
        });
        if let Some(cors) = &self.cors {
            properties["CorsConfiguration"] = self.cors_configuration(synthesis, cors);
        }
        synthesis.add(
            logical_id.clone(),
            self.named.origin,
            synthesis.tagged_as_map("AWS::ApiGatewayV2::Api", properties),
        );
        let mut stage = json!({
            "ApiId": reference(&logical_id),
            "StageName": "$default",
            "AutoDeploy": true,
            "AccessLogSettings": {
                "DestinationArn": sub(&format!(
                    "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{log_group_id}}}"
                )),
                "Format": access_log.to_string(),
            },
        });
        let throttled = self.throttle(synthesis, &mut stage);
        synthesis.add(
            format!("{logical_id}Stage"),
            self.named.origin,
            synthesis
                .tagged_as_map("AWS::ApiGatewayV2::Stage", stage)
                .depends_on(throttled),
        );
    }

    pub(super) fn synth_routes(&self, synthesis: &mut Synthesis<'_>) {
        let logical_id = self.named.id.logical_id();
        let authorization = self.authorization(synthesis);
        for (function, routes) in synthesis.invoked_by::<Route>(&self.named.id) {
            let integration_id = format!("{logical_id}{}", function.logical_id("Integration"));
            let integration = json!({
                "ApiId": reference(&logical_id),
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": synthesis.invoked(function),
                "PayloadFormatVersion": "2.0",
            });
            synthesis.add(
                integration_id.clone(),
                routes[0].0,
                Resource::new("AWS::ApiGatewayV2::Integration", integration),
            );
            for (origin, route) in routes {
                let mut properties = json!({
                    "ApiId": reference(&logical_id),
                    "RouteKey": route.key(),
                    "Target": sub(&format!("integrations/${{{integration_id}}}")),
                });
                for (property, value) in &authorization {
                    properties[*property] = value.clone();
                }
                self.synth_route(synthesis, function, origin, route, properties);
            }
        }
    }

    fn synth_route(
        &self,
        synthesis: &mut Synthesis<'_>,
        function: &Function,
        origin: Origin,
        route: &Route,
        properties: Value,
    ) {
        let route_id = self.route_id(route);
        let source_arn = format!(
            "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:\
             ${{{}}}/*/{}{}",
            self.named.id.logical_id(),
            route.method,
            path::pattern(&route.path)
        );
        synthesis.permission(
            format!("{route_id}Permission"),
            origin,
            function,
            "apigateway.amazonaws.com",
            json!({"SourceArn": sub(&source_arn)}),
        );
        let resource = Resource::new("AWS::ApiGatewayV2::Route", properties);
        synthesis.add(route_id, origin, resource);
    }

    /// The logical ID of a route.
    fn route_id(&self, route: &Route) -> String {
        let api_id = self.named.id.logical_id();
        let method = name::pascal_case(route.method);
        format!("{api_id}{method}{}Route", path::logical_id(&route.path))
    }

    fn routes<'a>(&self, synthesis: &Synthesis<'a>) -> Vec<&'a Route> {
        let functions = synthesis.invoked_by::<Route>(&self.named.id);
        let routes = functions.into_iter().flat_map(|(_, routes)| routes);
        routes.map(|(_, route)| route).collect()
    }

    /// Limits the requests that a stage lets through, and returns the routes with limits of
    /// their own: the stage cannot name them before they are there.
    fn throttle(&self, synthesis: &Synthesis<'_>, stage: &mut Value) -> Vec<String> {
        let mut limited = Vec::new();
        let Some(throttling) = synthesis.stage().throttling.get(self.named.id.name()) else {
            return limited;
        };
        for (key, throttle) in throttling {
            let limits = json!({
                "ThrottlingRateLimit": throttle.rate,
                "ThrottlingBurstLimit": throttle.burst,
            });
            if key == DEFAULT_ROUTE {
                stage["DefaultRouteSettings"] = limits;
            } else {
                stage["RouteSettings"][key] = limits;
                let routes = self.routes(synthesis).into_iter();
                let routes = routes.filter(|route| route.key() == *key);
                limited.extend(routes.map(|route| self.route_id(route)));
            }
        }
        limited
    }

    /// The properties by which routes let in only who may call them, and the authorizer if
    /// that takes one.
    fn authorization(&self, synthesis: &mut Synthesis<'_>) -> Vec<(&'static str, Value)> {
        let stage = synthesis.stage();
        match stage.authorization_of(self.named.id.name()) {
            Authorization::None => Vec::new(),
            Authorization::Iam => vec![("AuthorizationType", json!("AWS_IAM"))],
            Authorization::Jwt(jwt) => {
                let api_id = self.named.id.logical_id();
                let authorizer_id = format!("{api_id}Authorizer");
                let setting = ["authorization".to_owned(), self.named.id.name().to_owned()];
                let authorizer = Resource::new(
                    "AWS::ApiGatewayV2::Authorizer",
                    json!({
                        "ApiId": reference(&api_id),
                        "AuthorizerType": "JWT",
                        "IdentitySource": ["$request.header.Authorization"],
                        "JwtConfiguration": {"Audience": jwt.audience, "Issuer": jwt.issuer},
                        "Name": "jwt",
                    }),
                );
                synthesis.add(authorizer_id.clone(), stage.origin_of(&setting), authorizer);
                vec![
                    ("AuthorizationType", json!("JWT")),
                    ("AuthorizerId", reference(&authorizer_id)),
                ]
            }
        }
    }

    fn cors_configuration(&self, synthesis: &Synthesis<'_>, cors: &Cors) -> Value {
        let routes = self.routes(synthesis).into_iter();
        let methods: BTreeSet<&str> = routes.map(|route| route.method).collect();
        let mut configuration = json!({
            "AllowOrigins": cors.origins,
            "AllowMethods": methods,
            "AllowHeaders": self.request_headers(synthesis),
            "MaxAge": CORS_MAX_AGE_SECONDS,
        });
        if !cors.exposed_headers.is_empty() {
            configuration["ExposeHeaders"] = json!(cors.exposed_headers);
        }
        configuration
    }

    /// The headers that pages may send. They may send a content type unasked only if it is
    /// a form's.
    fn request_headers(&self, synthesis: &Synthesis<'_>) -> Vec<&'static str> {
        let mut headers = vec!["content-type"];
        match synthesis.stage().authorization_of(self.named.id.name()) {
            Authorization::None => {}
            Authorization::Jwt(_) => headers.push("authorization"),
            Authorization::Iam => headers.extend(SIGNATURE_HEADERS),
        }
        headers
    }
}
