//! Kinds of tokens by prefix.

use Form::{Exactly, Inside, Joined, Letters, Sure};

use crate::class::Class;

/// The form of a token behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Characters of one class, which must not read like words.
    Plain,
    /// The same, or lower-case letters only where there are very many.
    Letters,
    /// This number of characters of the class: with more it is something else.
    Exactly(usize),
    /// Characters of one class, whatever they read like.
    Sure,
    /// The prefix is inside: what is before it belongs to the token.
    Inside,
    /// Characters of the class, a sign, and characters of a second class.
    Joined {
        /// The fewest and the most characters before the sign.
        first: (usize, usize),
        /// The sign, also as a URL has it.
        signs: &'static [&'static str],
        /// The second class, and the fewest characters of it.
        class: Class,
        least: usize,
    },
}

/// No upper limit.
const MANY: usize = usize::MAX;

/// A kind of token: its prefix, and what follows.
pub(crate) struct Token {
    /// The prefix as issued.
    pub(crate) prefix: &'static str,
    pub(super) class: Class,
    /// The fewest characters after the prefix.
    pub(super) least: usize,
    pub(super) label: &'static str,
    /// The prefix is short or common: a word must be able to begin with it.
    pub(super) bounded: bool,
    pub(super) form: Form,
}

macro_rules! tokens {
    ($(
        $prefix:literal $class:ident $least:literal $label:literal $($bounded:ident)?
        $(, $form:expr)? ;
    )*) => {
        &[$( Token {
            prefix: $prefix,
            class: Class::$class,
            least: $least,
            label: $label,
            bounded: tokens!(@bounded $($bounded)?),
            form: tokens!(@form $($form)?),
        } ),*]
    };
    (@bounded bounded) => { true };
    (@bounded) => { false };
    (@form $form:expr) => { $form };
    (@form) => { Form::Plain };
}

/// Kinds of tokens: prefix, class and fewest characters behind it, label, `bounded`, and the form
/// if it is not plain. The numbers are a little below what is issued: formats grow and shrink, and
/// the prefixes tell enough.
pub(crate) const TOKENS: &[Token] = tokens! {
    // Code hosting and CI.
    "ghp_" Word 30 "github-token";
    "gho_" Word 30 "github-token";
    "ghu_" Word 30 "github-token";
    "ghs_" Dotted 30 "github-token";
    "ghr_" Word 30 "github-token";
    "github_pat_" Url 36 "github-token";
    "glpat-" Dotted 18 "gitlab-token";
    "gldt-" Dotted 18 "gitlab-token";
    "glcbt-" Dotted 18 "gitlab-token";
    "glptt-" Dotted 18 "gitlab-token";
    "glft-" Dotted 18 "gitlab-token";
    "glimt-" Dotted 18 "gitlab-token";
    "glagent-" Dotted 18 "gitlab-token";
    "gloas-" Dotted 18 "gitlab-token";
    "glrt-" Dotted 18 "gitlab-token";
    "glrtr-" Dotted 18 "gitlab-token";
    "glsoat-" Dotted 18 "gitlab-token";
    "glffct-" Dotted 18 "gitlab-token";
    "glwt-" Dotted 18 "gitlab-token";
    "GR1348941" Url 18 "gitlab-runner-token";
    "_gitlab_session=" Word 24 "gitlab-session";
    "_gitlab_session%3D" Word 24 "gitlab-session";
    "ATBB" Word 24 "bitbucket-token" bounded;
    "ATCTT3xFf" Any64 20 "bitbucket-token";
    "ATATT3xFf" Any64 30 "atlassian-token";
    "ATSTT3x" Any64 30 "atlassian-token";
    "ATOATT3x" Any64 30 "atlassian-token";
    "bkua_" Hex 36 "buildkite-token";
    "bkaj_" Hex 36 "buildkite-token";
    "bkat_" Word 30 "buildkite-token";
    "bkct_" Word 30 "buildkite-token";
    "ccipat_" Url 30 "circleci-token";
    "CCIPRJ_" Url 30 "circleci-token";
    "CCIPAT_" Url 30 "circleci-token";
    "hvs." Url 20 "vault-token";
    "hvb." Url 20 "vault-token";
    "hvr." Url 20 "vault-token";
    "hcp." Dotted 20 "hashicorp-token";
    ".atlasv1." Any64 50 "terraform-token", Inside;
    "tfp_" Dotted 40 "typeform-token";
    "aio_" Word 24 "adafruit-key";
    "dnkey-" Any64 40 "defined-networking-key";
    "tk-us-" Url 40 "scalingo-token";
    "tk-eu-" Url 40 "scalingo-token";
    "eyJrIjoi" Any64 60 "grafana-key";
    "pul-" Hex 36 "pulumi-token";
    "sgp_" Dotted 36 "sourcegraph-token";
    "slk_" Hex 40 "sourcegraph-token";
    "sams_" Url 24 "sourcegraph-token";
    "sqp_" Hex 36 "sonarqube-token";
    "squ_" Hex 36 "sonarqube-token";
    "sqa_" Hex 36 "sonarqube-token";
    "lin_api_" Word 32 "linear-token";
    "lin_oauth_" Word 32 "linear-token";
    "figd_" Url 30 "figma-token";
    "figo_" Url 30 "figma-token";
    "figu_" Url 30 "figma-token";
    "figr_" Url 30 "figma-token";
    "snyk_" Url 24 "snyk-token";
    "CFPAT-" Url 36 "contentful-token";
    "dckr_pat_" Url 20 "docker-token";
    "dckr_oat_" Url 20 "docker-token";
    "dt0c01." Dotted 60 "dynatrace-token";
    "dt0s" Dotted 60 "dynatrace-token";
    "AKCp" Word 55 "artifactory-token";
    "cmVmdGtu" Word 40 "artifactory-token";
    "npm_" Word 30 "npm-token";
    "npms_" Word 30 "npm-token";
    "pypi-" Url 60 "pypi-token";
    "pypi-AgEIcHlwaS5vcmc" Any64 20 "pypi-token";
    "rubygems_" Hex 40 "rubygems-token";
    "CLOJARS_" Word 50 "clojars-token";
    "oy2" Lower 40 "nuget-token" bounded;
    "hex_" Hex 30 "hex-token";
    // Clouds.
    "AKIA" Upper 16 "aws-access-key", Exactly(16);
    "ASIA" Upper 16 "aws-access-key", Exactly(16);
    "ABIA" Upper 16 "aws-access-key", Exactly(16);
    "ACCA" Upper 16 "aws-access-key", Exactly(16);
    "A3T" Upper 17 "aws-access-key" bounded;
    "AROA" Upper 16 "aws-access-key" bounded, Exactly(16);
    "AIDA" Upper 16 "aws-access-key" bounded, Exactly(16);
    "ABSK" Base64 40 "aws-bedrock-key";
    "bedrock-api-key-" Any64 20 "aws-bedrock-key";
    "IQoJ" Any64 60 "aws-session-token";
    "FwoGZX" Any64 60 "aws-session-token";
    "FQoGZX" Any64 60 "aws-session-token";
    "amzn.mws." Uuid 30 "amazon-mws-token";
    "amzn1.oa2-cs." Dotted 30 "amazon-oauth-secret";
    "Atza|" Any64 30 "amazon-oauth-token";
    "Atzr|" Any64 30 "amazon-oauth-token";
    "da2-" Lower 24 "aws-appsync-key";
    "AIza" Url 30 "google-api-key";
    "ya29." Dotted 20 "google-oauth-token";
    "ya29_" Dotted 20 "google-oauth-token";
    "GOCSPX-" Url 20 "google-oauth-secret";
    "1//0" Url 30 "google-refresh-token" bounded;
    "4/0A" Url 30 "google-oauth-code" bounded;
    "4%2F0A" Url 30 "google-oauth-code" bounded;
    "AAAA" Url 7 "firebase-server-key" bounded,
        Joined { first: (7, 7), signs: &[":"], class: Class::Url, least: 59 };
    ":APA91b" Url 60 "firebase-token", Inside;
    "GOOG1" Word 50 "google-hmac-key" bounded;
    "GOOG" Upper 20 "google-hmac-key" bounded;
    "AQ.Ab" Url 30 "google-api-key" bounded;
    "LTAI" Word 12 "alibaba-access-key" bounded;
    "AKID" Word 28 "tencent-secret-id" bounded;
    "AKLT" Url 30 "volcengine-key" bounded;
    "JDC_" Upper 24 "jdcloud-key" bounded;
    "SCW" Upper 17 "scaleway-key" bounded;
    "dop_v1_" Hex 40 "digitalocean-token";
    "doo_v1_" Hex 40 "digitalocean-token";
    "dor_v1_" Hex 40 "digitalocean-token";
    "DO00" Upper 14 "digitalocean-spaces-key" bounded;
    "DO80" Upper 14 "digitalocean-spaces-key" bounded;
    "AQVN" Url 30 "yandex-api-key" bounded;
    "t1." Dotted 60 "yandex-iam-token" bounded;
    "y0_" Url 30 "yandex-oauth-token" bounded;
    "y1_" Url 30 "yandex-oauth-token" bounded;
    "y3_" Url 30 "yandex-oauth-token" bounded;
    "YCAJ" Url 16 "yandex-access-key" bounded;
    "YCAJE" Url 16 "yandex-access-key" bounded;
    "YCM" Url 30 "yandex-secret-key" bounded;
    "YCN" Url 30 "yandex-secret-key" bounded;
    "YCO" Url 30 "yandex-secret-key" bounded;
    "YCP" Url 30 "yandex-secret-key" bounded;
    "fm1_" Any64 30 "fly-token";
    "fm1r_" Any64 30 "fly-token";
    "fm1a_" Any64 30 "fly-token";
    "fm2_" Any64 30 "fly-token";
    "fo1_" Url 30 "fly-token";
    "FlyV1 " Any64 30 "fly-token";
    "HRKU-" Url 30 "heroku-token";
    "vercel_" Url 20 "vercel-token";
    "vca_" Word 24 "vercel-token" bounded;
    "vcp_" Word 24 "vercel-token" bounded;
    "vck_" Word 24 "vercel-token" bounded;
    "vci_" Word 24 "vercel-token" bounded;
    "vcr_" Word 24 "vercel-token" bounded;
    "nfp_" Word 30 "netlify-token";
    "nfc_" Word 30 "netlify-token";
    "nfo_" Word 30 "netlify-token";
    "nfb_" Word 30 "netlify-token";
    "nfu_" Word 30 "netlify-token";
    "rnd_" Word 26 "render-token";
    "Fe26.2*" Sealed 60 "sealed-session";
    "v1.0-" Url 120 "cloudflare-origin-ca-key";
    "cfut_" Word 36 "cloudflare-token";
    "cfat_" Word 36 "cloudflare-token";
    "cfk_" Word 36 "cloudflare-token";
    "ovhcloud_" Word 24 "ovh-token";
    "nvapi-" Url 50 "nvidia-api-key";
    "EXO" Hex 20 "exoscale-key" bounded;
    "ocid1.credential." Dotted 24 "oracle-credential";
    "tskey-" Url 16 "tailscale-key";
    "upk" Word 40 "upcloud-token" bounded;
    "hc_" Word 60 "hetzner-token" bounded;
    "linode_" Hex 40 "linode-token";
    "ak_2" Url 30 "ngrok-key" bounded;
    "cr_2" Url 30 "ngrok-credential" bounded;
    // Models.
    "sk-ant-" Url 20 "anthropic-key";
    "sk-proj-" Url 20 "openai-key";
    "sk-svcacct-" Url 20 "openai-key";
    "sk-admin-" Url 20 "openai-key";
    "sk-None-" Url 20 "openai-key";
    "sk-or-" Url 24 "openrouter-key";
    "sk-lf-" Uuid 30 "langfuse-key";
    "sk-" Url 20 "api-key" bounded, Letters;
    "sess-" Word 36 "openai-session" bounded;
    "T3BlbkFJ" Url 16 "openai-key", Inside;
    "ek_" Word 30 "openai-ephemeral-key" bounded;
    "gsk_" Word 40 "groq-key";
    "xai-" Word 40 "xai-key";
    "pplx-" Word 40 "perplexity-key";
    "hf_" Word 30 "huggingface-token";
    "api_org_" Word 30 "huggingface-token";
    "r8_" Word 30 "replicate-token";
    "fw_" Word 20 "fireworks-key" bounded;
    "tgp_v1_" Url 40 "together-key";
    "csk-" Lower 36 "cerebras-key";
    "pcsk_" Url 40 "pinecone-key";
    "jina_" Url 36 "jina-key";
    "pa-" Url 40 "voyage-key" bounded;
    "lsv2_" Url 36 "langsmith-key";
    "ls__" Word 28 "langsmith-key";
    "tvly-" Url 20 "tavily-key";
    "fc-" Hex 30 "firecrawl-key" bounded;
    "co-" Word 38 "cohere-key" bounded;
    "esecret_" Word 24 "anyscale-key";
    "sk_live_" Word 16 "stripe-key";
    "bfl_" Word 24 "api-key" bounded;
    "ctx7sk-" Uuid 30 "context7-key";
    "dapi" Hex 32 "databricks-token" bounded;
    "dkea" Hex 32 "databricks-token" bounded;
    "dose" Hex 32 "databricks-token" bounded;
    "e2b_" Hex 36 "e2b-key";
    "ak-" Word 20 "modal-token" bounded;
    "as-" Word 20 "modal-token" bounded;
    "wandb_v1_" Url 40 "wandb-key";
    "sk_" Hex 40 "elevenlabs-key" bounded;
    "rpa_" Upper 36 "runpod-key";
    "glsa_" Url 32 "grafana-token";
    "glc_" Base64 30 "grafana-token";
    // Payment.
    "sk_test_" Word 16 "stripe-key";
    "sk_prod_" Word 16 "stripe-key";
    "rk_live_" Word 16 "stripe-key";
    "rk_test_" Word 16 "stripe-key";
    "rk_prod_" Word 16 "stripe-key";
    "sk_org_" Word 16 "stripe-key";
    "whsec_" Any64 20 "webhook-secret";
    "sq0atp-" Url 18 "square-token";
    "sq0csp-" Url 36 "square-secret";
    "sq0idp-" Url 18 "square-id";
    "EAAA" Url 50 "square-token" bounded;
    "access_token$production$" Word 20 "braintree-token";
    "access_token$sandbox$" Word 20 "braintree-token";
    "FLWSECK_TEST-" Word 12 "flutterwave-key";
    "FLWSECK-" Word 12 "flutterwave-key";
    "FLWPUBK_TEST-" Word 12 "flutterwave-key";
    "rzp_live_" Word 12 "razorpay-key";
    "rzp_test_" Word 12 "razorpay-key";
    "live_" Hex 35 "lob-key" bounded;
    "live_" Word 30 "mollie-key" bounded;
    "pdl_live_apikey_" Url 24 "paddle-key";
    "pdl_sdbx_apikey_" Url 24 "paddle-key";
    "pdl_ntfset_" Url 24 "paddle-key";
    "duffel_live_" Url 30 "duffel-token";
    "duffel_test_" Url 30 "duffel-token";
    "shpat_" Hex 30 "shopify-token";
    "shpca_" Hex 30 "shopify-token";
    "shppa_" Hex 30 "shopify-token";
    "shpss_" Hex 30 "shopify-secret";
    "shpua_" Hex 30 "shopify-token";
    "shptka_" Hex 30 "shopify-token";
    "shpatf_" Hex 30 "shopify-token";
    "EZAK" Word 50 "easypost-key" bounded;
    "EZTK" Word 50 "easypost-key" bounded;
    "shippo_live_" Hex 30 "shippo-token";
    "shippo_test_" Hex 30 "shippo-token";
    "gc_live_" Word 24 "gocardless-token";
    "live_" Url 36 "gocardless-token" bounded;
    "sandbox_" Url 36 "gocardless-token" bounded;
    "access-sandbox-" Uuid 30 "plaid-token";
    "access-production-" Uuid 30 "plaid-token";
    "access-development-" Uuid 30 "plaid-token";
    "xnd_production_" Word 30 "xendit-key";
    "xnd_development_" Word 30 "xendit-key";
    "monzo_" Any64 30 "monzo-token";
    "AQE" Any64 90 "adyen-key" bounded;
    // Messages.
    "xoxb-" Url 20 "slack-token";
    "xoxp-" Url 20 "slack-token";
    "xoxa-" Url 20 "slack-token";
    "xoxr-" Url 20 "slack-token";
    "xoxs-" Url 20 "slack-token";
    "xoxo-" Url 20 "slack-token";
    "xoxe-" Url 20 "slack-token";
    "xoxe." Dotted 20 "slack-token";
    "xoxc-" Url 20 "slack-token";
    "xoxd-" Any64 20 "slack-token";
    "xapp-" Url 20 "slack-token";
    "xwfp-" Url 20 "slack-token";
    "SG." Dotted 40 "sendgrid-key" bounded;
    "key-" Hex 30 "mailgun-key" bounded;
    "pubkey-" Hex 30 "mailgun-key" bounded;
    "xkeysib-" Url 60 "brevo-key";
    "xsmtpsib-" Url 60 "brevo-key";
    "re_" Url 24 "resend-key" bounded;
    "mlsn." Hex 40 "mailersend-key";
    "md-" Url 20 "mandrill-key" bounded;
    "SK0" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK1" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK2" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK3" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK4" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK5" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK6" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK7" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK8" Hex 31 "twilio-key" bounded, Exactly(31);
    "SK9" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKa" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKb" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKc" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKd" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKe" Hex 31 "twilio-key" bounded, Exactly(31);
    "SKf" Hex 31 "twilio-key" bounded, Exactly(31);
    "EAACEdEose0cBA" Word 10 "facebook-token";
    "EAAB" Word 40 "facebook-token" bounded;
    "EAAC" Word 40 "facebook-token" bounded;
    "EAAG" Word 40 "facebook-token" bounded;
    "EAAM" Word 40 "facebook-token" bounded;
    "EAAJ" Word 40 "facebook-token" bounded;
    "IGQV" Url 40 "instagram-token" bounded;
    "IGQW" Url 40 "instagram-token" bounded;
    "AAAAAAAAAAAAAAAAAAAAA" Any64 40 "twitter-token" bounded;
    "mfa." Url 60 "discord-token" bounded;
    "ol_api_" Word 30 "outline-token";
    "dG9rOj" Any64 30 "intercom-token";
    "vk1.a." Url 60 "vk-token";
    "syt_" Any64 24 "matrix-token";
    "mct_" Any64 20 "matrix-token" bounded;
    "secret_" Word 36 "notion-token";
    "ntn_" Word 36 "notion-token";
    "pat-na1-" Uuid 30 "hubspot-token";
    "pat-eu1-" Uuid 30 "hubspot-token";
    "pat-na2-" Uuid 30 "hubspot-token";
    "pat-na3-" Uuid 30 "hubspot-token";
    "pat-ap1-" Uuid 30 "hubspot-token";
    "pat" Dotted 70 "airtable-token" bounded;
    "00D" Both64 0 "salesforce-token" bounded,
        Joined { first: (7, 17), signs: &["!", "%21"], class: Class::Dotted, least: 40 };
    "3MVG9" Dotted 60 "salesforce-key";
    "5Aep861" Dotted 40 "salesforce-token";
    "ATTA" Hex 60 "trello-token";
    "fio-u-" Any64 40 "frameio-token";
    "rdme_" Lower 60 "readme-key";
    "p8e-" Word 28 "adobe-secret" bounded;
    "p8e-" Url 28 "adobe-secret" bounded;
    "eyJraW" Any64 400 "adobe-token";
    "1/1" Number 0 "asana-token" bounded,
        Joined { first: (0, MANY), signs: &[":"], class: Class::Hex, least: 29 };
    "2/1" Number 0 "asana-token" bounded,
        Joined { first: (0, MANY), signs: &[":"], class: Class::Hex, least: 29 };
    "pk_" Digits 0 "clickup-token" bounded,
        Joined { first: (0, MANY), signs: &["_"], class: Class::Upper, least: 29 };
    // Data and operations.
    "pscale_tkn_" Dotted 30 "planetscale-token";
    "pscale_oauth_" Dotted 30 "planetscale-token";
    "pscale_pw_" Dotted 30 "planetscale-password";
    "pscale_pw_" Url 30 "planetscale-password";
    "sbp_" Hex 36 "supabase-key";
    "sb_secret_" Url 20 "supabase-key";
    "napi_" Word 40 "neon-key";
    "npg_" Word 10 "neon-password";
    "AVNS_" Url 16 "aiven-password";
    "aivenv1" Any64 40 "aiven-token";
    "AstraCS:" Any64 20 "astra-token";
    "mdb_sa_sk_" Url 30 "mongodb-secret";
    "mdb_sa_id_" Url 20 "mongodb-secret";
    "4b1d" Word 34 "clickhouse-key" bounded;
    "CCDB1_" Url 30 "cockroach-key";
    "fnA" Url 36 "fauna-secret" bounded;
    "fnE" Url 36 "fauna-secret" bounded;
    "xau_" Word 24 "xata-key";
    "apify_api_" Word 30 "apify-token";
    "apify_proxy_" Word 30 "apify-token";
    "pnu_" Word 30 "prefect-key";
    "pnb_" Word 30 "prefect-key";
    "dp.st." Dotted 30 "doppler-token";
    "dp.pt." Dotted 30 "doppler-token";
    "dp.ct." Dotted 30 "doppler-token";
    "dp.sa." Dotted 30 "doppler-token";
    "dp.scim." Dotted 30 "doppler-token";
    "dp.audit." Dotted 30 "doppler-token";
    "ops_eyJ" Any64 40 "1password-token";
    "A3-" Dashed 31 "1password-key" bounded, Sure;
    "st." Dotted 60 "infisical-token" bounded;
    "NRAK-" Upper 20 "new-relic-key";
    "NRAA-" Hex 20 "new-relic-key";
    "NRII-" Url 20 "new-relic-key";
    "NRIQ-" Url 20 "new-relic-key";
    "NRRA-" Hex 20 "new-relic-key";
    "NRJS-" Hex 15 "new-relic-key";
    "eu01xx" Hex 24 "new-relic-license";
    "sntrys_" Any64 30 "sentry-token";
    "sntryu_" Hex 40 "sentry-token";
    "sntrya_" Any64 30 "sentry-token";
    "hlrk_" Word 24 "highlight-key";
    "hcaik_" Word 30 "honeycomb-key";
    "hcalk_" Word 30 "honeycomb-key";
    "hcxik_" Word 30 "honeycomb-key";
    "hcxlk_" Word 30 "honeycomb-key";
    "hcamk_" Word 30 "honeycomb-key";
    "pdus+_" Any64 12 "pagerduty-key";
    "pdeu+_" Any64 12 "pagerduty-key";
    "phx_" Word 30 "posthog-key";
    "phs_" Word 30 "posthog-key";
    "phr_" Word 30 "posthog-key";
    "pha_" Word 30 "posthog-key";
    "sdk-" Uuid 34 "launchdarkly-key" bounded;
    "api-" Uuid 34 "launchdarkly-key" bounded;
    "rel-" Uuid 34 "launchdarkly-key" bounded;
    "mob-" Uuid 34 "launchdarkly-key" bounded;
    "xaat-" Uuid 30 "axiom-token";
    "xapt-" Uuid 30 "axiom-token";
    "sk.eyJ" Dotted 60 "mapbox-token";
    "tk.eyJ" Dotted 60 "mapbox-token";
    "AGE-SECRET-KEY-1" Upper 50 "age-key";
    "AGE-SECRET-KEY-PQ-1" Upper 50 "age-key";
    "base64:" Base64 40 "laravel-key" bounded;
    "xprv" Word 100 "wallet-key";
    "nsec1" Lower 50 "nostr-key";
    "SUA" Upper 54 "nats-seed" bounded;
    "SAA" Upper 54 "nats-seed" bounded;
    "SOA" Upper 54 "nats-seed" bounded;
    "SNA" Upper 54 "nats-seed" bounded;
    "SUC" Upper 54 "nats-seed" bounded;
    "edsk" Word 50 "tezos-key" bounded;
    "PMAK-" Url 40 "postman-key";
    "PMAT-" Word 20 "postman-key";
    "sm_pat_" Word 14 "settlemint-token";
    "sm_aat_" Word 14 "settlemint-token";
    "sm_sat_" Word 14 "settlemint-token";
    "oauth2v2_" Hex 24 "clerk-token";
    "ddo_" Word 30 "deno-token";
    "sl." Url 100 "dropbox-token" bounded;
    "sl.u." Url 60 "dropbox-token" bounded;
    "bb_live_" Word 24 "browserbase-key";
    "ser." Word 18 "flagsmith-key" bounded;
    "kag_" Url 30 "kagi-key" bounded;
    "BSA" Url 27 "brave-key" bounded;
    "pat." Dotted 50 "harness-token" bounded;
    "sat." Dotted 50 "harness-token" bounded;
    "API-" Upper 25 "octopus-key" bounded;
    "ops_" Any64 200 "1password-token";
    "endr+" Any64 16 "endor-key";
    "ico-" Word 30 "intra42-key";
    "s-s4t2ud-" Hex 50 "intra42-secret";
    "s-s4t2af-" Hex 50 "intra42-secret";
    "u-s4t2ud-" Hex 50 "intra42-secret";
    "sha256~" Url 40 "openshift-token";
    "pk_prod_" Word 24 "courier-key";
    "pk_test_" Upper 26 "courier-key";
    "vultr_" Upper 30 "vultr-key";
    "packagist_" Url 50 "packagist-token";
    "jsrp_" Word 30 "jsr-token";
    "jsrd_" Word 30 "jsr-token";
    "os_v2_app_" Lower 60 "onesignal-key";
    "os_v2_org_" Lower 60 "onesignal-key";
    "sec-c-" Any64 40 "pubnub-key";
    "ddp_" Word 30 "deno-token";
    "sktsec_" Url 30 "socket-key";
    "ptr_" Any64 40 "portainer-key" bounded;
    "SWMTKN-" Url 60 "swarm-token";
    "v1.local." Dotted 60 "paseto";
    "v2.local." Dotted 60 "paseto";
    "v3.local." Dotted 60 "paseto";
    "v4.local." Dotted 60 "paseto";
    "v1.public." Dotted 60 "paseto";
    "v2.public." Dotted 60 "paseto";
    "v3.public." Dotted 60 "paseto";
    "v4.public." Dotted 60 "paseto";
    "cal_live_" Word 24 "cal-key";
    "unkey_" Word 20 "unkey-key";
    "tr_dev_" Word 18 "trigger-key";
    "tr_prod_" Word 18 "trigger-key";
    "tr_stg_" Word 18 "trigger-key";
    "signkey-" Url 40 "inngest-key";
    "configcat-sdk-1/" Any64 40 "configcat-key";
    "configcat-proxy/" Any64 30 "configcat-key";
    "secret-" Word 38 "statsig-key" bounded;
    "nbp_" Word 34 "netbird-token" bounded;
    "cio" Word 32 "cargo-token" bounded;
    "oauth:" Lower 28 "twitch-token" bounded;
    "ver:1-hint:" Any64 40 "snowflake-token";
    "M.R3_BAY." Sealed 60 "microsoft-token";
    "M.C5" Sealed 80 "microsoft-token" bounded;
    "eyJVc2VySUQiOi" Any64 40 "upstash-token";
    "cflt" Base64 50 "confluent-secret" bounded;
    "pat_" Word 60 "api-token" bounded;
    "evervault_" Word 30 "evervault-key";
    "ev:" Word 60 "evervault-key" bounded;
    "svix_" Word 24 "svix-key";
    "testsk_" Word 24 "svix-key";
    "apikey_" Word 30 "api-key" bounded;
    "api_key_" Word 30 "api-key" bounded;
    "key_live_" Word 24 "api-key";
    "key_test_" Word 24 "api-key";
    "zpka_" Url 30 "zuplo-key";
    "ory_" Url 30 "ory-token" bounded;
    "kpat_" Url 30 "konnect-token";
    "spat_" Url 30 "konnect-token";
    "shpit_" Hex 30 "shopify-token";
    "sk_car_" Word 20 "cartesia-key";
    "BBFF-" Word 24 "ubidots-token" bounded;
    "civo_" Word 30 "civo-token";
};

/// By token: the next one with the same prefix; the token itself for none.
pub(super) static NEXT: [u16; TOKENS.len()] = {
    let mut next = [0; TOKENS.len()];
    let mut i = 0;
    while i < TOKENS.len() {
        next[i] = i as u16;
        let mut other = i + 1;
        while other < TOKENS.len() {
            if TOKENS[i].prefix.eq_ignore_ascii_case(TOKENS[other].prefix) {
                next[i] = other as u16;
                break;
            }
            other += 1;
        }
        i += 1;
    }
    next
};

/// Returns true if no token before this one has its prefix.
pub(super) const fn is_first(index: usize) -> bool {
    let mut i = 0;
    while i < index {
        if NEXT[i] as usize == index {
            return false;
        }
        i += 1;
    }
    true
}
