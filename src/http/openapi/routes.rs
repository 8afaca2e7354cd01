//! Each route: what it takes and what it answers.

use schemars::{Schema, SchemaGenerator};
use steadfast_cli::api::bulk::ImportAnswer;
use steadfast_cli::api::cluster::{
    ClusterView, InitAnswer, InitRequest, ShardHash, SnapshotAnswer, TransferAnswer,
    TransferRequest, Version,
};
use steadfast_cli::api::incr::{IncrAnswer, IncrRequest};
use steadfast_cli::api::limits::Limits;
use steadfast_cli::api::list::ListAnswer;
use steadfast_cli::api::many::{BatchRequest, ManyAnswer, MgetRequest};
use steadfast_cli::api::routing::Routing;
use steadfast_cli::api::txn::{TxnAnswer, TxnRequest};

/// Makes the schema of a wire type.
type OfType = fn(&mut SchemaGenerator) -> Schema;

/// What a request carries.
pub(super) enum Body {
    None,
    Bytes,
    Lines,
    Json(OfType),
}

/// What an answer carries.
pub(super) enum Answer {
    Empty,
    Bytes,
    Lines,
    Text,
    Metrics,
    Json(OfType),
}

/// One method of one path.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [&'static str],
    pub(super) body: Body,
    /// Status, what it says, and what comes with it.
    pub(super) answers: &'static [(u16, &'static str, Answer)],
    /// Statuses of problems that a client should expect beside those that any request can meet.
    pub(super) problems: &'static [u16],
}

/// Another node leads, and `Steadfast-Route: redirect` was asked for.
const GO_THERE: (u16, &str, Answer) = (307, "Another node leads: ask at Location.", Answer::Empty);
const READS: &[(u16, &str, Answer)] = &[
    (200, "The value.", Answer::Bytes),
    (304, "The client has this version.", Answer::Empty),
    GO_THERE,
];
const HEADS: &[(u16, &str, Answer)] = &[
    (200, "The key is there.", Answer::Empty),
    (304, "The client has this version.", Answer::Empty),
    GO_THERE,
];
const STORES: &[(u16, &str, Answer)] =
    &[(200, "Replaced.", Answer::Empty), (201, "Created.", Answer::Empty), GO_THERE];
const REMOVES: &[(u16, &str, Answer)] =
    &[(204, "It is not there, now. Steadfast-Existed: whether it was.", Answer::Empty), GO_THERE];
const READ_PROBLEMS: &[u16] = &[400, 404, 421, 503];
const WRITE_PROBLEMS: &[u16] = &[400, 412, 413, 421, 503, 504, 507];

const MANY: &[(u16, &str, Answer)] = &[(
    200,
    "What came of each, failures included.",
    Answer::Json(SchemaGenerator::subschema_for::<ManyAnswer>),
)];

const fn key(
    method: &'static str,
    name: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    body: Body,
) -> Route {
    let (answers, problems) = match method.as_bytes() {
        b"get" => (READS, READ_PROBLEMS),
        b"head" => (HEADS, READ_PROBLEMS),
        b"put" => (STORES, WRITE_PROBLEMS),
        _ => (REMOVES, WRITE_PROBLEMS),
    };
    Route { method, path: "/v1/kv/{key}", name, summary, parameters, body, answers, problems }
}

const fn look(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    answers: &'static [(u16, &'static str, Answer)],
) -> Route {
    Route {
        method: "get",
        path,
        name,
        summary,
        parameters: &[],
        body: Body::None,
        answers,
        problems: &[],
    }
}

const READ: &[&str] = &[
    "key",
    "consistency",
    "max_staleness",
    "min_revision",
    "wait",
    "timeout",
    "if_none_match",
    "route",
];

/// Counting, at a path that carries the key.
const INCREMENT: Route = Route {
    method: "post",
    path: "/v1/incr/{key}",
    name: "increment",
    summary: "Adds to the number under a key.",
    parameters: &["key", "timeout", "if_match", "if_absent", "route"],
    body: Body::Json(SchemaGenerator::subschema_for::<IncrRequest>),
    answers: &[
        (200, "The sum is stored.", Answer::Json(SchemaGenerator::subschema_for::<IncrAnswer>)),
        GO_THERE,
    ],
    problems: &[400, 409, 412, 413, 415, 421, 503, 504, 507],
};

/// All routes.
pub(super) const ROUTES: &[Route] = &[
    key("get", "get", "Reads a key.", READ, Body::None),
    key("head", "head", "Reads a key's version.", READ, Body::None),
    key(
        "put",
        "put",
        "Stores the body under a key.",
        &["key", "ttl", "timeout", "if_match", "if_absent", "route"],
        Body::Bytes,
    ),
    key("delete", "delete", "Removes a key.", &["key", "timeout", "if_match", "route"], Body::None),
    // A key that no path carries is read at `/v1/kv?key64=`, too: that GET is described as the list.
    Route {
        path: "/v1/kv",
        ..key(
            "put",
            "put64",
            "Stores the body under a key that no path carries.",
            &["key64", "ttl", "timeout", "if_match", "if_absent", "route"],
            Body::Bytes,
        )
    },
    Route {
        path: "/v1/kv",
        ..key(
            "delete",
            "delete64",
            "Removes a key that no path carries.",
            &["key64", "timeout", "if_match", "route"],
            Body::None,
        )
    },
    Route {
        parameters: &[
            "prefix", "prefix64", "start", "start64", "cursor", "limit", "values", "timeout",
        ],
        problems: &[400, 503],
        ..look(
            "/v1/kv",
            "list",
            "Lists keys in order over all shards, a page at a time.",
            &[(200, "A page.", Answer::Json(SchemaGenerator::subschema_for::<ListAnswer>))],
        )
    },
    INCREMENT,
    Route {
        path: "/v1/incr",
        name: "increment64",
        summary: "Adds to the number under a key that no path carries.",
        parameters: &["key64", "timeout", "if_match", "if_absent", "route"],
        ..INCREMENT
    },
    Route {
        method: "post",
        path: "/v1/txn",
        name: "transact",
        summary: "Carries out several operations in one slot, all or none.",
        parameters: &["timeout", "route"],
        body: Body::Json(SchemaGenerator::subschema_for::<TxnRequest>),
        answers: &[
            (200, "It was carried out.", Answer::Json(SchemaGenerator::subschema_for::<TxnAnswer>)),
            GO_THERE,
        ],
        problems: &[400, 409, 413, 415, 421, 422, 503, 504, 507],
    },
    Route {
        method: "post",
        path: "/v1/mget",
        name: "mget",
        summary: "Reads many keys, each by itself.",
        parameters: &["consistency", "max_staleness", "timeout", "route_many"],
        body: Body::Json(SchemaGenerator::subschema_for::<MgetRequest>),
        answers: MANY,
        problems: &[400, 413, 415, 422, 503],
    },
    Route {
        method: "post",
        path: "/v1/batch",
        name: "batch",
        summary: "Carries out many operations, each by itself.",
        parameters: &["timeout", "route_many"],
        body: Body::Json(SchemaGenerator::subschema_for::<BatchRequest>),
        answers: MANY,
        problems: &[400, 413, 415, 422, 503],
    },
    Route {
        parameters: &["prefix", "export_cursor", "timeout"],
        problems: &[400, 503],
        ..look(
            "/v1/export",
            "export",
            "Streams keys with their values, a line of JSON each.",
            &[(200, "A manifest, keys, and an end mark.", Answer::Lines)],
        )
    },
    Route {
        method: "post",
        path: "/v1/import",
        name: "import",
        summary: "Stores the keys of an export.",
        parameters: &["first_line", "only_absent", "timeout"],
        body: Body::Lines,
        answers: &[(
            200,
            "All lines are imported.",
            Answer::Json(SchemaGenerator::subschema_for::<ImportAnswer>),
        )],
        problems: &[400, 408, 413, 415, 503, 504, 507],
    },
    Route {
        method: "post",
        path: "/v1/cluster/init",
        name: "init",
        summary: "Founds a cluster, or says that it is founded.",
        parameters: &["timeout"],
        body: Body::Json(SchemaGenerator::subschema_for::<InitRequest>),
        answers: &[
            (200, "Founded before.", Answer::Json(SchemaGenerator::subschema_for::<InitAnswer>)),
            (201, "Founded now.", Answer::Json(SchemaGenerator::subschema_for::<InitAnswer>)),
        ],
        problems: &[400, 409, 415, 504],
    },
    look(
        "/v1/cluster",
        "cluster",
        "What the node knows of the cluster.",
        &[(200, "Its view.", Answer::Json(SchemaGenerator::subschema_for::<ClusterView>))],
    ),
    look(
        "/v1/routing",
        "routing",
        "Where keys are and who leads them.",
        &[(200, "The table.", Answer::Json(SchemaGenerator::subschema_for::<Routing>))],
    ),
    look(
        "/v1/limits",
        "limits",
        "The bounds that a client can meet.",
        &[(200, "The bounds.", Answer::Json(SchemaGenerator::subschema_for::<Limits>))],
    ),
    look(
        "/v1/version",
        "version",
        "The node's version.",
        &[(200, "The version.", Answer::Json(SchemaGenerator::subschema_for::<Version>))],
    ),
    Route {
        parameters: &["shard"],
        problems: &[404],
        ..look(
            "/v1/shards/{id}/hash",
            "hash",
            "The hash of the replica's state at this node.",
            &[(200, "The hash.", Answer::Json(SchemaGenerator::subschema_for::<ShardHash>))],
        )
    },
    Route {
        method: "post",
        path: "/v1/shards/{id}/transfer-leader",
        name: "transferLeader",
        summary: "Has a node lead the shard.",
        parameters: &["shard", "timeout"],
        body: Body::Json(SchemaGenerator::subschema_for::<TransferRequest>),
        answers: &[(
            200,
            "It leads.",
            Answer::Json(SchemaGenerator::subschema_for::<TransferAnswer>),
        )],
        problems: &[400, 404, 409, 415, 503, 504],
    },
    Route {
        method: "post",
        path: "/v1/shards/{id}/snapshot",
        name: "snapshot",
        summary: "Takes a snapshot of the replica at this node.",
        parameters: &["shard", "timeout"],
        body: Body::None,
        answers: &[(
            200,
            "It is durable.",
            Answer::Json(SchemaGenerator::subschema_for::<SnapshotAnswer>),
        )],
        problems: &[404, 503, 504],
    },
    look("/livez", "livez", "Whether the process lives.", &[(200, "It does.", Answer::Text)]),
    Route {
        problems: &[503],
        ..look(
            "/readyz",
            "readyz",
            "Whether requests should be sent here.",
            &[(200, "They should.", Answer::Text)],
        )
    },
    look("/metrics", "metrics", "Metrics.", &[(200, "OpenMetrics text.", Answer::Metrics)]),
    look(
        "/openapi.json",
        "openapi",
        "This document.",
        &[(200, "OpenAPI 3.1.", Answer::Json(SchemaGenerator::subschema_for::<serde_json::Value>))],
    ),
];
