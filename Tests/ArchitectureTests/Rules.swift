/// Where a target stands. Arrows point inward only: an executable may use an adapter, an adapter the ports, the ports the core.
enum Layer: String, Sendable, Comparable, CaseIterable {
    case core, wrapper, runtime, adapter, support, executable

    static func < (left: Layer, right: Layer) -> Bool {
        guard let a = allCases.firstIndex(of: left), let b = allCases.firstIndex(of: right) else { return false }
        return a < b
    }

    /// Why a target of this layer may not use what its row does not name.
    var reason: String {
        switch self {
        case .core:
            "the core is pure: no I/O, no clock, no concurrency, so that every decision can be tested with plain values"
        case .wrapper:
            "a wrapper of one thing (C code, a thread, the settings) stays usable by all, so it knows none of them"
        case .runtime:
            "the runtime performs what the core decided and knows the outside world through Ports only"
        case .adapter:
            "an adapter wraps one part of the outside world; adapters do not know each other and are replaced one at a time"
        case .support:
            "what tests share may use everything but the programs, which are started as programs"
        case .executable:
            "programs put the parts together; only what the program's row names is linked into it, to keep the daemon small"
        }
    }
}

/// What one target may use. An upper bound: using less is fine.
struct Rule: Sendable {
    var target: String
    var layer: Layer
    /// Targets of this package.
    var targets: Set<String> = []
    /// Products of other packages; each is explained in docs/decisions/0001-dependencies.md.
    var products: Set<String> = []
    /// Modules of the system or the tool chain. They are no dependencies in Package.swift, so the compiler cannot refuse them.
    var system: Set<String> = []
}

/// The table of ARCHITECTURE.md, "Who may import whom". A change here is a decision: write it down there and in docs/decisions.
enum Rules {
    private static let core: Set<String> = [
        "LogModel", "JSONBytes", "HTTPWire", "RecordDecoding", "Patterns", "Delivery", "Admission",
    ]
    private static let nio: Set<String> = ["NIOCore", "NIOPosix", "NIOHTTP1"]
    private static let edge: Set<String> = ["Glibc", "Synchronization"]

    static let all: [Rule] = [
        Rule(target: "LogModel", layer: .core),
        Rule(target: "JSONBytes", layer: .core),
        Rule(target: "HTTPWire", layer: .core),
        Rule(target: "RecordDecoding", layer: .core, targets: ["LogModel", "JSONBytes", "Patterns"]),
        Rule(target: "Patterns", layer: .core, targets: ["LogModel"]),
        Rule(target: "Delivery", layer: .core, targets: ["LogModel"]),
        Rule(target: "Admission", layer: .core, targets: ["LogModel"]),

        Rule(target: "CShims", layer: .wrapper),
        Rule(target: "CSQLite", layer: .wrapper),
        Rule(target: "CPostgres", layer: .wrapper, targets: ["CShims"]),
        Rule(target: "CSystemd", layer: .wrapper),
        Rule(target: "CZlib", layer: .wrapper),
        Rule(target: "CCrypto", layer: .wrapper, targets: ["CShims"]),
        Rule(target: "Compression", layer: .wrapper, targets: ["CZlib"]),
        Rule(target: "Hashing", layer: .wrapper, targets: ["CCrypto"]),
        Rule(target: "BlockingExecutor", layer: .wrapper, targets: ["CShims"], system: edge),
        Rule(target: "Settings", layer: .wrapper, targets: ["LogModel", "Admission"], system: edge),
        Rule(target: "Migrations", layer: .wrapper, targets: ["LogModel"]),
        Rule(target: "Telemetry", layer: .wrapper, targets: ["LogModel", "CShims"], system: edge),

        Rule(target: "Ports", layer: .runtime, targets: ["LogModel", "JSONBytes", "Delivery"]),
        Rule(
            target: "Pipeline",
            layer: .runtime,
            targets: ["LogModel", "Patterns", "Delivery", "Ports", "Telemetry"],
            system: ["Synchronization"]
        ),

        Rule(
            target: "SQLiteClient",
            layer: .adapter,
            targets: ["CSQLite", "CShims", "BlockingExecutor"],
            system: edge
        ),
        Rule(
            target: "PostgresClient",
            layer: .adapter,
            targets: ["CPostgres", "CShims", "BlockingExecutor"],
            system: edge
        ),
        Rule(
            target: "SQLiteSpool",
            layer: .adapter,
            targets: [
                "LogModel", "JSONBytes", "Delivery", "Ports", "BlockingExecutor", "Compression", "SQLiteClient",
                "Migrations",
            ],
            system: edge
        ),
        Rule(
            target: "PostgresSink",
            layer: .adapter,
            targets: [
                "LogModel", "JSONBytes", "Delivery", "Ports", "BlockingExecutor", "PostgresClient", "Migrations",
            ],
            system: edge
        ),
        Rule(target: "HTTPClient", layer: .adapter, products: nio, system: edge),
        Rule(
            target: "ForwardSink",
            layer: .adapter,
            targets: ["LogModel", "JSONBytes", "Delivery", "Ports", "Compression", "HTTPClient"],
            products: nio,
            system: edge
        ),
        Rule(
            target: "HTTPServing",
            layer: .adapter,
            targets: ["LogModel", "HTTPWire", "Telemetry", "JSONBytes"],
            products: ["NIOCore", "NIOPosix", "NIOTLS"],
            system: edge
        ),
        Rule(
            target: "TLSServing",
            layer: .adapter,
            products: ["NIOCore", "NIOTLS", "NIOSSL"],
            system: edge
        ),
        Rule(
            target: "HTTPSource",
            layer: .adapter,
            targets: [
                "LogModel", "JSONBytes", "RecordDecoding", "Delivery", "Admission", "Ports", "Pipeline", "Telemetry",
                "HTTPWire", "HTTPServing", "Compression",
            ],
            system: edge
        ),
        Rule(target: "SystemdNotify", layer: .adapter, targets: ["CSystemd"], system: edge),
        Rule(
            target: "JournalSource",
            layer: .adapter,
            targets: ["LogModel", "Patterns", "Ports", "Telemetry", "BlockingExecutor", "CShims", "CSystemd"],
            system: edge
        ),

        Rule(target: "CFaultVFS", layer: .support),
        Rule(
            target: "PipelineTesting",
            layer: .support,
            targets: core.union([
                "Ports", "Pipeline", "Telemetry", "Settings", "BlockingExecutor", "CShims", "CZlib", "CFaultVFS",
                "PostgresClient",
                "SQLiteClient", "SQLiteSpool", "PostgresSink", "ForwardSink", "HTTPClient", "HTTPServing",
            ]),
            products: nio,
            system: edge.union(["Foundation"])
        ),

        Rule(
            target: "Logboomd",
            layer: .executable,
            targets: core.union([
                "Ports", "Pipeline", "Telemetry", "Settings", "BlockingExecutor", "SQLiteSpool", "PostgresSink",
                "ForwardSink",
                "HTTPClient",
                "HTTPServing", "HTTPSource", "SystemdNotify", "JournalSource", "CShims", "Hashing", "TLSServing",
            ]),
            products: ["NIOCore", "NIOPosix"],
            system: edge
        ),
        Rule(
            target: "LogboomCommand",
            layer: .executable,
            targets: [
                "LogModel", "JSONBytes", "RecordDecoding", "Patterns", "Admission", "Hashing", "Settings", "HTTPClient",
                "CShims",
            ],
            products: ["ArgumentParser", "NIOCore", "NIOPosix"],
            system: edge.union(["Foundation"])
        ),
    ]

    /// Why `target` may not use `other`, or `nil` when its row allows it. `other` is a target, a product or a system module.
    static func refusal(of other: String, by target: String) -> String? {
        guard let rule = byTarget[target] else { return "\(target) has no row in Rules.swift" }
        if rule.targets.contains(other) || rule.products.contains(other) || rule.system.contains(other) { return nil }
        if let guest = guests.first(where: { $0.module == other }), !guest.targets.contains(target) {
            return "\(target) must not use \(other): \(guest.reason)"
        }
        if rule.layer != .core, let inner = byTarget[other], inner.layer < rule.layer {
            return
                "\(target) uses \(other), which its row does not name. The arrow points inward, so it may be right: then "
                + "say so in Rules.swift and ARCHITECTURE.md"
        }
        return "\(target) must not use \(other): \(rule.layer.reason)"
    }

    static let byTarget: [String: Rule] = Dictionary(uniqueKeysWithValues: all.map { ($0.target, $0) })

    /// Modules that only a few may know, said once more by name because these are the ones people reach for.
    static let guests: [Guest] = [
        Guest("CSQLite", only: ["SQLiteClient"], "SQLite's C interface is made safe in one place"),
        Guest("CPostgres", only: ["PostgresClient"], "libpq's C interface is made safe in one place"),
        Guest(
            "CSystemd",
            only: ["SystemdNotify", "JournalSource"],
            "libsystemd is known where the service manager is talked to and the journal is read"
        ),
        Guest("CZlib", only: ["Compression", "PipelineTesting"], "zlib's C interface is made safe in one place"),
        Guest("CCrypto", only: ["Hashing"], "libcrypto is known where hashes are made"),
        Guest("CFaultVFS", only: ["PipelineTesting"], "a disk that fails belongs in no program"),
        Guest(
            "NIOHTTP1",
            only: ["HTTPClient", "ForwardSink", "PipelineTesting"],
            "HTTP is spoken in one server and one client, and the server reads with HTTPWire (docs/decisions/0012)"
        ),
        Guest("NIOSSL", only: ["TLSServing"], "TLS is put before the server's handlers in one place"),
        Guest("ArgumentParser", only: ["LogboomCommand"], "the daemon's options are its settings"),
        Guest(
            "Foundation",
            only: ["LogboomCommand", "PipelineTesting"],
            "Foundation brings ICU and megabytes of resident pages into what must idle in a few (docs/decisions)"
        ),
        Guest(
            "FoundationEssentials",
            only: ["LogboomCommand", "PipelineTesting"],
            "as large in a static binary as the whole of Foundation"
        ),
        Guest("Dispatch", only: [], "one kind of concurrency: named threads for blocking C, event loops, Swift tasks"),
    ]

    struct Guest: Sendable {
        var module: String
        var targets: Set<String>
        var reason: String

        init(_ module: String, only targets: Set<String>, _ reason: String) {
            self.module = module
            self.targets = targets
            self.reason = reason
        }
    }
}
