/// Every key there is, in the order in which the shipped file and `logboom config` list them.
package enum SettingKey: String, Sendable, CaseIterable, CustomStringConvertible {
    case listen = "LISTEN"
    case allowInsecure = "ALLOW_INSECURE"
    case hostNames = "HOST_NAMES"
    case tokensFile = "TOKENS_FILE"
    case tlsCertificate = "TLS_CERTIFICATE"
    case tlsKey = "TLS_KEY"
    case tlsClientAuthority = "TLS_CLIENT_CA"
    case httpBodyLimit = "HTTP_BODY_LIMIT"
    case journal = "JOURNAL"
    case journalUnits = "JOURNAL_UNITS"
    case journalPriority = "JOURNAL_PRIORITY"
    case journalLookback = "JOURNAL_LOOKBACK"
    case journalWait = "JOURNAL_WAIT"
    case journalDirectory = "JOURNAL_DIRECTORY"
    case postgresHost = "POSTGRES_HOST"
    case postgresPort = "POSTGRES_PORT"
    case postgresDatabase = "POSTGRES_DB"
    case postgresUser = "POSTGRES_USER"
    case postgresPassword = "POSTGRES_PASSWORD"
    case postgresPasswordFile = "POSTGRES_PASSWORD_FILE"
    case postgresSSLMode = "POSTGRES_SSLMODE"
    case postgresPoolMin = "POSTGRES_POOL_MIN"
    case postgresPoolMax = "POSTGRES_POOL_MAX"
    case analyticsNodeURL = "ANALYTICS_NODE_URL"
    case aggregationWindow = "AGGREGATION_WINDOW"
    case batchSize = "BATCH_SIZE"
    case durableLevel = "DURABLE_LEVEL"
    case rateLimit = "RATE_LIMIT"
    case rateBurst = "RATE_BURST"
    case maxPatterns = "MAX_PATTERNS"
    case placeholderStyle = "PLACEHOLDER_STYLE"
    case redaction = "REDACTION"
    case memoryLimit = "MEMORY_LIMIT"
    case stateDirectory = "STATE_DIRECTORY"
    case spoolLimit = "SPOOL_LIMIT"
    case retentionDays = "RETENTION_DAYS"
    case storeLimit = "STORE_LIMIT"
    case logLevel = "LOG_LEVEL"
    case logFormat = "LOG_FORMAT"

    package var description: String { rawValue }

    /// One line for people.
    package var explanation: String { definition.explanation }
    /// What its value may be, as a phrase.
    package var allowed: String { definition.allowed }
    /// Whether SIGHUP applies a new value.
    package var isReloadable: Bool { definition.reload != nil }
    /// Whether its value is never shown.
    package var isSecret: Bool { definition.isSecret }

    var definition: SettingDefinition {
        guard let definition = SettingDefinition.table.first(where: { $0.key == self }) else {
            preconditionFailure("the table of keys has one row a key")
        }
        return definition
    }
}

/// A row of the table that drives everything said about a key: reading, showing, explaining, reloading, and its lines in
/// the shipped `logboom.conf` and in `docs/formats/configuration.md`.
struct SettingDefinition: Sendable {
    enum Section: String, Sendable, CaseIterable {
        case receiving = "Receiving"
        case journal = "The system's journal"
        case postgres = "PostgreSQL"
        case analytics = "Analytics node"
        case patterns = "Batches and patterns"
        case storage = "Memory and disk"
        case ownLog = "The daemon's own log"
    }

    enum Standard: Sendable {
        case text(String)
        /// Depends on the surroundings; `shown` is what it is for the packaged service.
        case derived(shown: String)
        case unset

        /// As it stands after `KEY=` in the shipped file.
        var shown: String {
            switch self {
            case .text(let text): text
            case .derived(let shown): shown
            case .unset: ""
            }
        }
    }

    var key: SettingKey
    var section: Section
    var standard: Standard
    /// One line, below 160 characters.
    var explanation: String
    var allowed: String
    var isSecret = false
    /// Reads a value that is not empty.
    var read: @Sendable (inout SettingsDraft, String) throws(ValueProblem) -> Void
    /// The value as ``read`` would take it back; secrets as `(set)`.
    var show: @Sendable (SettingsDraft) -> String
    /// Takes this key's value over from new settings into running ones; `nil`: it needs a restart.
    var reload: (@Sendable (inout Settings, Settings) -> Void)?
}
