// swift-tools-version: 6.2
import PackageDescription

// One line a target: what it may use is what ARCHITECTURE.md section "Who may import whom" allows,
// and Tests/ArchitectureTests compares the two. Third-party packages, each with its reason, are in
// docs/decisions/0001-dependencies.md.
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "logboom",
    products: [
        .executable(name: "logboomd", targets: ["Logboomd"]),
        .executable(name: "logboom", targets: ["LogboomCommand"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        // Core: values and state machines. No I/O, no clock, no concurrency.
        .target(name: "LogModel"),
        .target(name: "JSONBytes"),
        .target(name: "HTTPWire"),
        .target(name: "RecordDecoding", dependencies: ["LogModel", "JSONBytes", "Patterns"]),
        .target(name: "Patterns", dependencies: ["LogModel"]),
        .target(name: "Delivery", dependencies: ["LogModel"]),
        .target(name: "Admission", dependencies: ["LogModel"]),

        // Runtime: performs what the core decided.
        .target(name: "Telemetry", dependencies: ["LogModel"]),
        .target(name: "Ports", dependencies: ["LogModel", "JSONBytes", "Delivery"]),
        .target(name: "Pipeline", dependencies: ["LogModel", "Patterns", "Delivery", "Ports", "Telemetry"]),

        // Edge: one part of the outside world each; none imports another.
        // No pkgConfig: it would add the build machine's library folder to a cross link.
        .systemLibrary(name: "CSQLite"),
        .systemLibrary(name: "CSystemd"),
        .systemLibrary(name: "CZlib"),
        .target(name: "CShims"),
        // Opened when they are needed: docs/decisions/0015-libraries-opened-when-needed.md.
        .target(name: "CPostgres", dependencies: ["CShims"]),
        .target(name: "CCrypto", dependencies: ["CShims"]),
        .target(name: "Compression", dependencies: ["CZlib"]),
        .target(name: "Hashing", dependencies: ["CCrypto"]),
        .target(name: "BlockingExecutor", dependencies: ["CShims"]),
        .target(name: "SQLiteClient", dependencies: ["CSQLite"]),
        .target(name: "PostgresClient", dependencies: ["CPostgres"]),
        .target(
            name: "SQLiteSpool",
            dependencies: [
                "LogModel", "JSONBytes", "Delivery", "Ports", "BlockingExecutor", "Compression", "SQLiteClient",
                "Migrations",
            ]
        ),
        .target(
            name: "PostgresSink",
            dependencies: [
                "LogModel", "JSONBytes", "Delivery", "Ports", "BlockingExecutor", "PostgresClient", "Migrations",
            ]
        ),
        .target(
            name: "ForwardSink",
            dependencies: ["LogModel", "JSONBytes", "Delivery", "Ports", "HTTPClient", "Compression", nioCore]
        ),
        .target(name: "HTTPClient", dependencies: [nioCore, nioPosix, nioHTTP1]),
        .target(name: "HTTPServing", dependencies: ["LogModel", "HTTPWire", nioCore, nioPosix, nioTLS]),
        .target(name: "TLSServing", dependencies: [nioCore, nioTLS, nioSSL]),
        .target(
            name: "HTTPSource",
            dependencies: [
                "LogModel", "JSONBytes", "RecordDecoding", "Delivery", "Admission", "Ports", "Pipeline", "Telemetry",
                "HTTPWire", "HTTPServing", "Compression",
            ],
            resources: [.embedInCode("openapi.json")]
        ),
        .target(name: "SystemdNotify", dependencies: ["CSystemd"]),
        .target(
            name: "JournalSource",
            dependencies: ["LogModel", "Patterns", "Ports", "Telemetry", "BlockingExecutor", "CShims", "CSystemd"]
        ),
        .target(name: "Settings", dependencies: ["LogModel", "Admission"]),
        .target(
            name: "Migrations",
            dependencies: ["LogModel"],
            path: "Migrations",
            resources: [
                .embedInCode("spool/spool_0001_create.sql"),
                .embedInCode("spool/spool_0002_merges.sql"),
                .embedInCode("spool/spool_0003_sent.sql"),
                .embedInCode("spool/spool_0004_positions.sql"),
                .embedInCode("warehouse/warehouse_0001_create.sql"),
                .embedInCode("warehouse/warehouse_0002_merges.sql"),
                .embedInCode("warehouse/warehouse_0003_positions.sql"),
            ]
        ),

        // Composition: the only places where everything is imported.
        .executableTarget(
            name: "Logboomd",
            dependencies: [
                "LogModel", "Patterns", "Delivery", "Ports", "Pipeline", "Telemetry", "Settings", "BlockingExecutor",
                "SQLiteSpool", "PostgresSink", "HTTPClient", "ForwardSink", "HTTPServing", "HTTPSource",
                "SystemdNotify", "JournalSource", "CShims", "Admission", "Hashing", "TLSServing",
                nioCore, nioPosix,
            ]
        ),
        .executableTarget(
            name: "LogboomCommand",
            dependencies: [
                "LogModel", "JSONBytes", "RecordDecoding", "Patterns", "Admission", "Hashing", "Settings", "HTTPClient",
                "CShims", argumentParser, nioCore, nioPosix,
            ]
        ),

        // Tests.
        .target(name: "CFaultVFS", linkerSettings: [.linkedLibrary("sqlite3")]),
        .target(
            name: "PipelineTesting",
            dependencies: [
                "LogModel", "JSONBytes", "Delivery", "Ports", "Pipeline", "PostgresClient", "CZlib", "CFaultVFS",
                nioCore, nioPosix, nioHTTP1,
            ]
        ),
        .testTarget(name: "LogModelTests", dependencies: ["LogModel", "PipelineTesting"]),
        .testTarget(name: "CompressionTests", dependencies: ["Compression", "PipelineTesting"]),
        .testTarget(name: "JSONBytesTests", dependencies: ["JSONBytes", "PipelineTesting"]),
        .testTarget(
            name: "PatternsTests",
            dependencies: ["Patterns", "LogModel", "PipelineTesting"],
            exclude: ["Golden"]
        ),
        .testTarget(name: "AdmissionTests", dependencies: ["Admission", "Hashing", "LogModel", "PipelineTesting"]),
        .testTarget(name: "DeliveryTests", dependencies: ["Delivery", "LogModel", "PipelineTesting"]),
        .testTarget(
            name: "PipelineTests",
            dependencies: ["Pipeline", "Patterns", "Delivery", "Ports", "Telemetry", "LogModel", "PipelineTesting"]
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Pipeline", "Patterns", "Delivery", "Ports", "Telemetry", "LogModel", "PipelineTesting"]
        ),
        .testTarget(
            name: "SQLiteSpoolTests",
            dependencies: ["SQLiteSpool", "SQLiteClient", "Delivery", "Ports", "LogModel", "PipelineTesting"]
        ),
        .testTarget(
            name: "PostgresSinkTests",
            dependencies: [
                "PostgresSink", "PostgresClient", "Delivery", "Ports", "LogModel", "Migrations", "PipelineTesting",
            ]
        ),
        .testTarget(
            name: "ForwardSinkTests",
            dependencies: [
                "ForwardSink", "HTTPClient", "SystemdNotify", "Delivery", "Ports", "LogModel", "JSONBytes",
                "PipelineTesting",
                nioCore, nioPosix, nioHTTP1,
            ]
        ),
        .testTarget(
            name: "HTTPWireTests",
            dependencies: ["HTTPWire", "PipelineTesting", nioCore, nioEmbedded, nioHTTP1]
        ),
        .testTarget(
            name: "HTTPServingTests",
            dependencies: ["HTTPServing", "HTTPWire", "LogModel", "PipelineTesting", nioCore, nioPosix, nioTLS]
        ),
        .testTarget(
            name: "JournalSourceTests",
            dependencies: ["JournalSource", "Ports", "LogModel", "Telemetry", "PipelineTesting"]
        ),
        .testTarget(
            name: "RecordDecodingTests",
            dependencies: ["RecordDecoding", "JSONBytes", "LogModel", "PipelineTesting"],
            exclude: ["Fixtures"]
        ),
        .testTarget(name: "SettingsTests", dependencies: ["Settings", "Admission", "LogModel", "PipelineTesting"]),
        .testTarget(
            name: "LogboomCommandTests",
            dependencies: ["LogboomCommand", "Settings", "LogModel", "JSONBytes", "Patterns", "PipelineTesting"]
        ),
        .testTarget(name: "ArchitectureTests"),
        .testTarget(
            name: "ApplianceTests",
            dependencies: ["JSONBytes", "LogModel", "CShims", "PipelineTesting", "Logboomd", "LogboomCommand"]
        ),
    ],
    swiftLanguageModes: [.v6]
)

/// Targets in C: Swift's settings are not for them.
let cTargets: Set<String> = ["CShims", "CFaultVFS", "CPostgres", "CCrypto"]
/// Targets that touch C pointers say `unsafe` at every such use.
let cFacing: Set<String> = ["SQLiteClient", "PostgresClient"]

for target in package.targets where target.type != .system && !cTargets.contains(target.name) {
    var settings: [SwiftSetting] = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
    // The compiler proves most accesses exclusive; the run-time check of the rest costs some per cent of each record, and the
    // debug build, in which all tests run, keeps it.
    settings.append(.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)))
    if cFacing.contains(target.name) {
        settings.append(.strictMemorySafety())
    }
    target.swiftSettings = settings
}
