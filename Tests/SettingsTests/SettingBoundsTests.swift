import LogModel
import Testing

@testable import Settings

/// Every key at its bounds, one below and one above, and in the wrong form.
struct SettingBoundsTests {
    private struct Row: Sendable, CustomTestStringConvertible {
        var key: SettingKey
        var good: [String]
        var bad: [String]
        var testDescription: String { key.rawValue }
    }

    private static let longPath = "/" + String(repeating: "p", count: 106)

    private static let rows: [Row] = [
        Row(
            key: .listen,
            good: [
                "127.0.0.1:0", "127.0.0.1:65535", "127.255.0.1:1", "[::1]:8004", "localhost:8004", "unix:/a",
                "unix:" + longPath, "127.0.0.1:0,127.0.0.1:0",
                (1...16).map { "127.0.0.1:\($0)" }.joined(separator: ","),
            ],
            bad: [
                "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "::1:8004", "[::1]",
                "[::g]:1",
                "[127.0.0.1]:1", ":8004", "*:8004", "127.0.0:1", "256.0.0.1:1", "unix:", "unix:relative",
                "unix:/folder/",
                "unix:" + longPath + "p", "127.0.0.1:1,127.0.0.1:1", ",", "127.0.0.1:1,", "host name:1", "-h:1",
                (1...17).map { "127.0.0.1:\($0)" }.joined(separator: ","),
            ]
        ),
        Row(
            key: .allowInsecure,
            good: ["true", "FALSE", "yes", "no", "on", "off", "1", "0"],
            bad: ["2", "maybe", "truee"]
        ),
        Row(
            key: .hostNames,
            good: ["pi", "pi.lan, PI", (1...16).map { "n\($0)" }.joined(separator: ",")],
            bad: ["pi,", "a b", "-x", "pi:8004", (1...17).map { "n\($0)" }.joined(separator: ",")]
        ),
        Row(
            key: .tokensFile,
            good: [],
            bad: ["relative", "/a\nb", "/" + String(repeating: "p", count: 4000)]
        ),
        Row(key: .tlsCertificate, good: [], bad: ["relative", "/a\nb"]),
        Row(key: .tlsKey, good: [], bad: ["relative"]),
        Row(key: .tlsClientAuthority, good: [], bad: ["relative"]),
        Row(
            key: .httpBodyLimit,
            good: ["1024", "1K", "8M", "16M"],
            bad: [
                "1023", "17M", "16777217", "8MB", "8 M", "-1K", "M", "99999999999999999999", "9223372036854775807K",
            ]
        ),
        Row(key: .journal, good: ["auto", "ON", "off"], bad: ["yes", "1"]),
        Row(
            key: .journalUnits,
            good: ["nginx", "getty@tty1.service,nginx", "a.service, b.timer", #"dev-disk-by\x2dlabel.swap"#],
            bad: [
                "a,", ",", "a b", "a/b", "*", (1...65).map { "u\($0)" }.joined(separator: ","),
                String(repeating: "u", count: 251),
            ]
        ),
        Row(key: .journalPriority, good: ["debug", "WARN", "fatal"], bad: ["trace", "4", "off"]),
        Row(key: .journalLookback, good: ["0", "90s", "24h", "87600h"], bad: ["-1", "87601h", "1d"]),
        Row(key: .journalWait, good: ["0", "1h", "86400"], bad: ["86401", "25h", "x"]),
        Row(key: .journalDirectory, good: ["/var/log/journal"], bad: ["journal", "/a\nb"]),
        Row(
            key: .postgresHost,
            good: [
                "db", "db.example.org", "10.0.0.1", "fe80::1", "::1", "/run/postgresql",
                String(repeating: "h", count: 253),
            ],
            bad: [
                "a,b", "a b", "10.0.0", "a:5432", "[::1]", "db\u{7}", String(repeating: "h", count: 254), "-x",
                "häuser",
            ]
        ),
        Row(key: .postgresPort, good: ["1", "65535"], bad: ["0", "65536", "tcp://10.0.0.1:5432", "5432 "]),
        Row(
            key: .postgresDatabase,
            good: ["d", String(repeating: "d", count: 63), "mit Leerzeichen"],
            bad: [String(repeating: "d", count: 64), "a\nb"]
        ),
        Row(
            key: .postgresUser,
            good: ["u", String(repeating: "u", count: 63)],
            bad: [String(repeating: "u", count: 64), "a\u{1B}b"]
        ),
        Row(
            key: .postgresPassword,
            good: ["p", String(repeating: "p", count: 1000)],
            bad: [String(repeating: "p", count: 1001), "a\0b"]
        ),
        Row(
            key: .postgresPasswordFile,
            good: [],
            bad: ["relative", "/a\nb", "/" + String(repeating: "p", count: 4000)]
        ),
        Row(
            key: .postgresSSLMode,
            good: ["disable", "allow", "prefer", "require", "verify-ca", "VERIFY-FULL"],
            bad: ["verify", "true"]
        ),
        Row(key: .postgresPoolMin, good: ["1", "2"], bad: ["0", "11", "3"]),
        Row(key: .postgresPoolMax, good: ["1", "10"], bad: ["0", "11"]),
        Row(
            key: .analyticsNodeURL,
            good: [
                "http://node", "http://node:1", "http://node:65535/", "http://10.0.0.1:8002/a/b", "http://[::1]:80",
                "HTTP://node:8002",
            ],
            bad: [
                "https://node:8002", "node:8002", "ftp://node", "http://", "http://:80", "http://node:0",
                "http://node:65536",
                "http://node:", "http://u:p@node", "http://node/?q", "http://node/#f", "http://[::1", "http://[x]:1",
                "http://[::1]x", "http://a b", "http://node/\u{7}",
                "http://node/" + String(repeating: "p", count: 2000),
            ]
        ),
        Row(
            key: .aggregationWindow,
            good: ["1", "3600", "30s", "60m", "1h"],
            bad: ["0", "3601", "61m", "2h", "0.5", "30 s", "s", "-1", "9999999999999999999h"]
        ),
        Row(key: .batchSize, good: ["1", "10", "100000"], bad: ["0", "100001", "-1", "1e3", "1_000", "１"]),
        Row(
            key: .durableLevel,
            good: ["trace", "debug", "info", "notice", "warn", "error", "fatal", "off", "ERROR"],
            bad: ["none", "3", "warning"]
        ),
        Row(key: .rateLimit, good: ["0", "1", "1000000"], bad: ["-1", "1000001", "10/s"]),
        Row(key: .rateBurst, good: ["1", "100000000"], bad: ["0", "100000001"]),
        Row(key: .maxPatterns, good: ["100", "100000"], bad: ["99", "100001"]),
        Row(key: .placeholderStyle, good: ["angle", "braces"], bad: ["{}"]),
        Row(key: .redaction, good: ["plain", "hash", "HASH"], bad: ["off", "none"]),
        Row(key: .memoryLimit, good: ["8M", "4G", "8388608"], bad: ["4194303", "4095K", "4294967297", "5G"]),
        Row(key: .stateDirectory, good: ["/", "/s p a c e"], bad: ["relative", "~/x", "/a\tb"]),
        Row(key: .spoolLimit, good: ["1M", "1024G"], bad: ["1048575", "1025G", "1T"]),
        Row(key: .retentionDays, good: ["1", "36500"], bad: ["0", "36501"]),
        Row(key: .storeLimit, good: ["1M", "1024G", "1m"], bad: ["1023K", "1025G"]),
        Row(
            key: .logLevel,
            good: ["trace", "debug", "info", "notice", "warn", "error", "fatal"],
            bad: ["off", "verbose"]
        ),
        Row(key: .logFormat, good: ["auto", "text", "json", "journal"], bad: ["xml"]),
    ]

    @Test func `every key has a row here`() {
        #expect(Self.rows.map(\.key) == SettingKey.allCases)
    }

    @Test(arguments: rows)
    private func `a key takes what it allows and refuses what lies beside it`(row: Row) {
        for value in row.good {
            let errors = load("POSTGRES_HOST=h", "\(row.key)=\(value)").errors
            #expect(errors.isEmpty, "\(value)")
        }
        for value in row.bad {
            let errors = load("POSTGRES_HOST=h", "\(row.key)=\(value)").errors
            #expect(errors.count == 1, "\(value)")
            #expect(errors.first?.hasPrefix("flag: \(row.key): ") == true, "\(value)")
            #expect(errors.first?.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true, "\(value)")
        }
    }

    @Test func `the lowest memory limit is 4 MiB`() {
        #expect(load("MEMORY_LIMIT=4M").settings?.memoryByteCountMax == 4 << 20)
        #expect(load("MEMORY_LIMIT=4194304").settings?.memoryByteCountMax == 4 << 20)
    }

    @Test func `the largest body is 256 MiB`() {
        #expect(load("MEMORY_LIMIT=1G", "HTTP_BODY_LIMIT=16M").settings?.httpBodyByteCountMax == 16 << 20)
    }

    @Test func `every default of the table is allowed by the table`() {
        for key in SettingKey.allCases {
            let standard = key.definition.standard.shown
            guard !standard.isEmpty else { continue }
            #expect(load("\(key)=\(standard)").errors.isEmpty, "\(key)")
        }
    }

    @Test func `https is refused with a sentence that says what to do`() {
        let errors = load("ANALYTICS_NODE_URL=https://user:hunter2@node").errors
        #expect(errors.first?.contains("https is not supported yet; use http") == true)
        #expect(errors.first?.contains("hunter2") == false)
    }

    @Test func `the node's URL is taken apart`() {
        let url = load("ANALYTICS_NODE_URL=http://[fe80::1]:8002/in/").settings?.analyticsNode
        #expect(url?.host == "fe80::1")
        #expect(url?.port == 8002)
        #expect(url?.basePath == "/in")
        #expect(load("ANALYTICS_NODE_URL=http://node").settings?.analyticsNode?.port == 80)
    }
}
