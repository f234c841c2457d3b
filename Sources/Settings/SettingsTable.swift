package import LogModel

/// All values while they are being read: what ``Settings`` holds, flat. Every field is set from its default in the table
/// before anything else is read, so the initial values here never show.
struct SettingsDraft: Sendable {
    var listen: [ListenAddress] = []
    var allowInsecure = false
    var hostNames: [String] = []
    var tokensFile: String?
    var tlsCertificate: String?
    var tlsKey: String?
    var tlsClientAuthority: String?
    var httpBodyLimit = 0
    var journal = JournalReading.auto
    var journalUnits: [String] = []
    var journalPriority: Severity?
    var journalLookback = 0
    var journalWait = 0
    var journalDirectory: String?
    var postgresHost: String?
    var postgresPort = 0
    var postgresDatabase = ""
    var postgresUser = ""
    var postgresPassword: Secret?
    var postgresPasswordFile: String?
    var postgresSSLMode = PostgresSSLMode.prefer
    var postgresPoolMin = 0
    var postgresPoolMax = 0
    var analyticsNode: NodeURL?
    var aggregationWindow = 0
    var batchSize = 0
    var durableLevel: Severity?
    var rateLimit = 0
    var rateBurst: Int?
    var maxPatterns = 0
    var placeholderStyle = PlaceholderSpelling.angle
    var redaction = RedactionMark.plain
    var memoryLimit = 0
    var stateDirectory = ""
    var spoolLimit = 0
    var retentionDays = 0
    var storeLimit = 0
    var logLevel = Severity.info
    var logFormat = LogFormat.auto
}

extension Severity {
    /// The words of `LOG_LEVEL` and `DURABLE_LEVEL`.
    static let settingWords = "trace, debug, info, notice, warn, error, fatal"

    init(settingWord text: String) throws(ValueProblem) {
        let word = text.lowercased()
        guard let severity = Severity.allCases.first(where: { $0.settingWord == word }) else {
            throw ValueProblem("\(quoted(text)) is no level")
        }
        self = severity
    }

    /// As the configuration spells it.
    package var settingWord: String {
        name.description.lowercased()
    }
}

extension SettingDefinition {
    /// The bounds of the numbers. Units: connections, seconds, records, patterns, bytes, days.
    enum Bounds {
        static let poolSize = 1...10
        static let journalLookback = 0...(10 * 365 * 86_400)
        static let journalWait = 0...86_400
        static let aggregationWindow = 1...3600
        static let batchSize = 1...100_000
        static let maxPatterns = 100...100_000
        static let memoryLimit = (4 << 20)...(4 << 30)
        static let diskLimit = (1 << 20)...(1 << 40)
        static let retentionDays = 1...36_500
        static let httpBodyLimit = (1 << 10)...Limits.bodyByteCountMax
    }

    /// One row a key, in the order of ``SettingKey``.
    static let table: [SettingDefinition] = {
        let rows = receiving + journal + postgres + analytics + patterns + storage + ownLog
        precondition(rows.map(\.key) == SettingKey.allCases, "the table of keys has one row a key, in their order")
        return rows
    }()

    private static let postgres = [
        SettingDefinition(
            key: .postgresHost,
            section: .postgres,
            standard: .unset,
            explanation: "The PostgreSQL server; unset, patterns go to the embedded store in STATE_DIRECTORY.",
            allowed: "a host name, an address, or the absolute path of a socket's folder",
            read: { (draft, text) throws(ValueProblem) in
                if text.hasPrefix("/") {
                    draft.postgresHost = try Value.absolutePath(text)
                } else {
                    // libpq takes IPv6 without brackets: the port has a key of its own.
                    let isIPv6 = text.contains(":") && ListenAddress.isIPv6(text)
                    if !isIPv6 { try HostName.check(text) }
                    draft.postgresHost = text
                }
            },
            show: { $0.postgresHost ?? "" }
        ),
        SettingDefinition(
            key: .postgresPort,
            section: .postgres,
            standard: .text("5432"),
            explanation: "The server's port.",
            allowed: "1 to 65535",
            read: { (draft, text) throws(ValueProblem) in draft.postgresPort = try Value.number(text, in: 1...65_535) },
            show: { String($0.postgresPort) }
        ),
        SettingDefinition(
            key: .postgresDatabase,
            section: .postgres,
            standard: .text("logboom"),
            explanation: "The database; its tables are made on the first connection.",
            allowed: "a name of 1 to 63 bytes",
            read: { (draft, text) throws(ValueProblem) in draft.postgresDatabase = try Value.databaseName(text) },
            show: { $0.postgresDatabase }
        ),
        SettingDefinition(
            key: .postgresUser,
            section: .postgres,
            standard: .text("logboom"),
            explanation: "The role to log in as.",
            allowed: "a name of 1 to 63 bytes",
            read: { (draft, text) throws(ValueProblem) in draft.postgresUser = try Value.databaseName(text) },
            show: { $0.postgresUser }
        ),
        SettingDefinition(
            key: .postgresPassword,
            section: .postgres,
            standard: .unset,
            explanation: "The role's password; a systemd credential \"postgres-password\" or the next key is safer.",
            allowed: "text of at most 1000 bytes",
            isSecret: true,
            read: { (draft, text) throws(ValueProblem) in
                draft.postgresPassword = try Secret(checkedPassword: text)
            },
            show: { $0.postgresPassword?.description ?? "" },
            reload: { running, new in
                guard running.postgres != nil, let postgres = new.postgres else { return }
                running.postgres?.password = postgres.password
                running.postgres?.passwordFile = postgres.passwordFile
            }
        ),
        SettingDefinition(
            key: .postgresPasswordFile,
            section: .postgres,
            standard: .unset,
            explanation:
                "A file that holds the password and nothing else; it goes before the credential and the key above.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.postgresPasswordFile = try Value.absolutePath(text) },
            show: { $0.postgresPasswordFile ?? "" },
            reload: { running, new in
                guard running.postgres != nil, let postgres = new.postgres else { return }
                running.postgres?.password = postgres.password
                running.postgres?.passwordFile = postgres.passwordFile
            }
        ),
        SettingDefinition(
            key: .postgresSSLMode,
            section: .postgres,
            standard: .text("prefer"),
            explanation: "How TLS is used towards PostgreSQL, in libpq's words.",
            allowed: PostgresSSLMode.allCases.map(\.rawValue).joined(separator: ", "),
            read: { (draft, text) throws(ValueProblem) in
                draft.postgresSSLMode = try Value.word(text, of: PostgresSSLMode.self)
            },
            show: { $0.postgresSSLMode.rawValue }
        ),
        SettingDefinition(
            key: .postgresPoolMin,
            section: .postgres,
            standard: .text("1"),
            explanation: "Connections that are kept open.",
            allowed: "1 to 10, and at most POSTGRES_POOL_MAX",
            read: { (draft, text) throws(ValueProblem) in
                draft.postgresPoolMin = try Value.number(text, in: Bounds.poolSize)
            },
            show: { String($0.postgresPoolMin) }
        ),
        SettingDefinition(
            key: .postgresPoolMax,
            section: .postgres,
            standard: .text("2"),
            explanation: "Connections at most: one writes, the others answer health checks and reads.",
            allowed: "1 to 10, and at least POSTGRES_POOL_MIN",
            read: { (draft, text) throws(ValueProblem) in
                draft.postgresPoolMax = try Value.number(text, in: Bounds.poolSize)
            },
            show: { String($0.postgresPoolMax) }
        ),
    ]

    private static let analytics = [
        SettingDefinition(
            key: .analyticsNodeURL,
            section: .analytics,
            standard: .unset,
            explanation: "The analytics node that every batch is forwarded to as well; unset, nothing is forwarded.",
            allowed: "http://host:port or http://host:port/base",
            read: { (draft, text) throws(ValueProblem) in draft.analyticsNode = try NodeURL(text) },
            show: { $0.analyticsNode?.description ?? "" }
        )
    ]

    private static let patterns = [
        SettingDefinition(
            key: .aggregationWindow,
            section: .patterns,
            standard: .text("30"),
            explanation: "Seconds after which an open batch is sealed and delivered (30, 30s, 2m).",
            allowed: "1 to 3600 seconds",
            read: { (draft, text) throws(ValueProblem) in
                draft.aggregationWindow = try Value.seconds(text, in: Bounds.aggregationWindow)
            },
            show: { String($0.aggregationWindow) },
            reload: { $0.aggregationWindow = $1.aggregationWindow }
        ),
        SettingDefinition(
            key: .batchSize,
            section: .patterns,
            standard: .text("1000"),
            explanation: "Records after which an open batch is sealed and delivered.",
            allowed: "1 to 100000",
            read: { (draft, text) throws(ValueProblem) in draft.batchSize = try Value.number(text, in: Bounds.batchSize)
            },
            show: { String($0.batchSize) },
            reload: { $0.batchSize = $1.batchSize }
        ),
        SettingDefinition(
            key: .durableLevel,
            section: .patterns,
            standard: .text("error"),
            explanation:
                "Records at or above this level are answered only when they are safe on disk or in PostgreSQL.",
            allowed: Severity.settingWords + ", off",
            read: { (draft, text) throws(ValueProblem) in
                draft.durableLevel = text.lowercased() == "off" ? nil : try Severity(settingWord: text)
            },
            show: { $0.durableLevel?.settingWord ?? "off" },
            reload: { $0.durableLevel = $1.durableLevel }
        ),
        SettingDefinition(
            key: .rateLimit,
            section: .patterns,
            standard: .text("10000"),
            explanation:
                "Records a second of one source with samples and attributes; more are counted only. 0: no limit.",
            allowed: "0 to 1000000",
            read: { (draft, text) throws(ValueProblem) in
                draft.rateLimit = try Value.number(text, in: 0...RateLimit.perSecondBounds.upperBound)
            },
            show: { String($0.rateLimit) },
            reload: { $0.sourceLimit = $1.sourceLimit }
        ),
        SettingDefinition(
            key: .rateBurst,
            section: .patterns,
            standard: .unset,
            explanation: "Records of one source at once after a pause; unset, ten seconds of RATE_LIMIT.",
            allowed: "1 to 100000000",
            read: { (draft, text) throws(ValueProblem) in
                draft.rateBurst = try Value.number(text, in: RateLimit.burstBounds)
            },
            show: { $0.rateBurst.map { String($0) } ?? "" },
            reload: { $0.sourceLimit = $1.sourceLimit }
        ),
        SettingDefinition(
            key: .maxPatterns,
            section: .patterns,
            standard: .text("5000"),
            explanation: "Patterns kept in memory; the least recently seen make room for new ones.",
            allowed: "100 to 100000",
            read: { (draft, text) throws(ValueProblem) in
                draft.maxPatterns = try Value.number(text, in: Bounds.maxPatterns)
            },
            show: { String($0.maxPatterns) }
        ),
        SettingDefinition(
            key: .placeholderStyle,
            section: .patterns,
            standard: .text("angle"),
            explanation: "How placeholders are spelled: angle writes <ID>, braces writes {ID}.",
            allowed: PlaceholderSpelling.allCases.map(\.rawValue).joined(separator: ", "),
            read: { (draft, text) throws(ValueProblem) in
                draft.placeholderStyle = try Value.word(text, of: PlaceholderSpelling.self)
            },
            show: { $0.placeholderStyle.rawValue }
        ),
        SettingDefinition(
            key: .redaction,
            section: .patterns,
            standard: .text("plain"),
            explanation:
                "What takes a secret's place: plain writes <REDACTED>, hash adds a hash that tells equal ones.",
            allowed: RedactionMark.allCases.map(\.rawValue).joined(separator: ", "),
            read: { (draft, text) throws(ValueProblem) in
                draft.redaction = try Value.word(text, of: RedactionMark.self)
            },
            show: { $0.redaction.rawValue }
        ),
    ]

    private static let storage = [
        SettingDefinition(
            key: .memoryLimit,
            section: .storage,
            standard: .text("32M"),
            explanation: "The budget for everything held in memory, in bytes; past it senders are asked to wait.",
            allowed: "4M to 4G",
            read: { (draft, text) throws(ValueProblem) in
                draft.memoryLimit = try Value.byteCount(text, in: Bounds.memoryLimit)
            },
            show: { Value.text(byteCount: $0.memoryLimit) },
            reload: { $0.memoryByteCountMax = $1.memoryByteCountMax }
        ),
        SettingDefinition(
            key: .stateDirectory,
            section: .storage,
            standard: .derived(shown: "/var/lib/logboom"),
            explanation: "The folder of the spool and the embedded store; systemd sets it from StateDirectory=.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.stateDirectory = try Value.absolutePath(text) },
            show: { $0.stateDirectory }
        ),
        SettingDefinition(
            key: .spoolLimit,
            section: .storage,
            standard: .text("256M"),
            explanation:
                "Bytes on disk for batches that wait for a sink; when it is full, batches wait in memory and then records are refused.",
            allowed: "1M to 1024G",
            read: { (draft, text) throws(ValueProblem) in
                draft.spoolLimit = try Value.byteCount(text, in: Bounds.diskLimit)
            },
            show: { Value.text(byteCount: $0.spoolLimit) }
        ),
        SettingDefinition(
            key: .retentionDays,
            section: .storage,
            standard: .text("30"),
            explanation: "Days for which the embedded store keeps patterns.",
            allowed: "1 to 36500",
            read: { (draft, text) throws(ValueProblem) in
                draft.retentionDays = try Value.number(text, in: Bounds.retentionDays)
            },
            show: { String($0.retentionDays) },
            reload: { $0.retentionDayCount = $1.retentionDayCount }
        ),
        SettingDefinition(
            key: .storeLimit,
            section: .storage,
            standard: .text("256M"),
            explanation: "Bytes on disk for the embedded store; past it the oldest patterns go.",
            allowed: "1M to 1024G",
            read: { (draft, text) throws(ValueProblem) in
                draft.storeLimit = try Value.byteCount(text, in: Bounds.diskLimit)
            },
            show: { Value.text(byteCount: $0.storeLimit) },
            reload: { $0.storeByteCountMax = $1.storeByteCountMax }
        ),
    ]

    private static let ownLog = [
        SettingDefinition(
            key: .logLevel,
            section: .ownLog,
            standard: .text("info"),
            explanation: "The least level that the daemon writes about itself.",
            allowed: Severity.settingWords,
            read: { (draft, text) throws(ValueProblem) in draft.logLevel = try Severity(settingWord: text) },
            show: { $0.logLevel.settingWord },
            reload: { $0.logLevel = $1.logLevel }
        ),
        SettingDefinition(
            key: .logFormat,
            section: .ownLog,
            standard: .text("auto"),
            explanation: "How it writes: auto is text on a terminal and journal priorities elsewhere.",
            allowed: LogFormat.allCases.map(\.rawValue).joined(separator: ", "),
            read: { (draft, text) throws(ValueProblem) in draft.logFormat = try Value.word(text, of: LogFormat.self) },
            show: { $0.logFormat.rawValue }
        ),
    ]
}

extension StringProtocol {
    /// Without the blanks at both ends.
    var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}
