package import Admission
package import LogModel

/// How `logboomd` writes its own log. `auto` is text on a terminal, journal priorities elsewhere.
package enum LogFormat: String, Sendable, CaseIterable {
    case auto, text, json, journal
}

/// How placeholders are spelled: `<ID>` or `{ID}`.
package enum PlaceholderSpelling: String, Sendable, CaseIterable {
    case angle, braces
}

/// What takes the place of a secret.
package enum RedactionMark: String, Sendable, CaseIterable {
    case plain, hash
}

/// Whether the system's journal is read. `auto`: if this process may.
package enum JournalReading: String, Sendable, CaseIterable {
    case auto, on, off
}

/// What of the journal is read, and how.
package struct JournalSettings: Sendable, Equatable {
    package var reading: JournalReading
    /// Names of units, each with its suffix; empty means all. At most ``unitCountMax``.
    package var units: [String]
    /// The least severity read; `nil` means everything.
    package var severityMin: Severity?
    /// How far back the first start reads, 0...10 years.
    package var lookback: Duration
    /// How long a start waits for PostgreSQL to say how far the journal was counted, 0...1 day.
    package var wait: Duration
    /// `nil` is the machine's own journal.
    package var directory: String?

    package static let unitCountMax = 64
}

/// libpq's six `sslmode` words (PostgreSQL documentation, 34.19 "SSL Support", table 34.1).
package enum PostgresSSLMode: String, Sendable, CaseIterable {
    case disable, allow, prefer, require
    case verifyCA = "verify-ca"
    case verifyFull = "verify-full"
}

/// How to reach PostgreSQL.
package struct DatabaseSettings: Sendable, Equatable {
    /// A name, an address, or, starting with `/`, the folder of a unix socket.
    package var host: String
    package var port: Int
    package var database: String
    package var user: String
    /// The password as it was when the settings were loaded; `nil` when there is none.
    package var password: Secret?
    /// The file the password came from (`POSTGRES_PASSWORD_FILE` or a systemd credential), so that it can be read again
    /// with ``SettingsSource.readPassword(of:)``; `nil` when it was given in the environment, a configuration file or a flag.
    package var passwordFile: String?
    package var sslMode: PostgresSSLMode
    /// Connections kept open, 1...10, and at most that many, ``poolMin``...10.
    package var poolMin: Int
    package var poolMax: Int
}

/// Who may send and read.
package struct AccessSettings: Sendable, Equatable {
    /// As they were when the settings were loaded; `nil`: none are configured, and ports are open to who reaches them.
    package var tokens: TokenSet?
    /// The file or credential they came from.
    package var tokensFile: String?
    /// In lower case, beside `localhost`; at most 16.
    package var hostNames: [String]

    package var policy: AccessPolicy { AccessPolicy(tokens: tokens, hostNames: hostNames) }
}

/// The files of TLS. Their content is read when the daemon starts, and at SIGHUP.
package struct TLSSettings: Sendable, Equatable {
    package var certificate: String
    package var key: String
    /// `nil`: clients need no certificate.
    package var clientAuthority: String?
}

/// Everything `logboomd` is told, checked and immutable. Made only by ``SettingsLoader``.
package struct Settings: Sendable, Equatable {
    /// 1...16 different addresses.
    package var listen: [ListenAddress]
    package var access: AccessSettings
    /// `nil`: no port speaks TLS.
    package var tls: TLSSettings?
    package var journal: JournalSettings
    /// systemd's `RUNTIME_DIRECTORY`: a folder in memory that outlives the process and no boot; `nil` when there is none.
    package var runtimeDirectory: String?
    /// Absolute path of the folder that holds the spool and the embedded store. Not created here.
    package var stateDirectory: String
    /// `nil`: the embedded store is the sink.
    package var postgres: DatabaseSettings?
    /// `nil`: nothing is forwarded.
    package var analyticsNode: NodeURL?
    /// 1 s...1 h.
    package var aggregationWindow: Duration
    /// Records after which a batch is sealed, 1...100 000.
    package var batchSize: Int
    /// The one memory budget, in bytes, 4 MiB...4 GiB.
    package var memoryByteCountMax: Int
    /// Bytes the spool may take on disk, 1 MiB...1 TiB.
    package var spoolByteCountMax: Int
    /// Records at or above it are answered only with a durable receipt; `nil` (`off`): none is.
    package var durableLevel: Severity?
    /// How fast a source may be before its records are counted without samples and attributes; `nil`: no limit.
    package var sourceLimit: RateLimit?
    /// Live patterns, 100...100 000.
    package var patternCountMax: Int
    /// The least severity of the daemon's own log.
    package var logLevel: Severity
    package var logFormat: LogFormat
    package var placeholderStyle: PlaceholderSpelling
    package var redaction: RedactionMark
    /// Days the embedded store keeps patterns, 1...36 500.
    package var retentionDayCount: Int
    /// Bytes the embedded store may take on disk, 1 MiB...1 TiB.
    package var storeByteCountMax: Int
    /// Bytes of one request body, 1 KiB...256 MiB, never more than ``memoryByteCountMax``.
    package var httpBodyByteCountMax: Int
    /// Whether ``listen`` may name addresses that other machines reach.
    package var isInsecureAllowed: Bool
}
