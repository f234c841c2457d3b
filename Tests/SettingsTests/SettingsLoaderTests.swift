import Admission
import LogModel
import PipelineTesting
import Testing

@testable import Settings

struct SettingsLoaderTests {
    @Test func `nothing given is the default of every key`() throws {
        let loaded = try SettingsLoader.load(SettingsLoader.Input(isRoot: true)).get()
        let settings = loaded.settings
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 8004)])
        #expect(settings.stateDirectory == "/var/lib/logboom")
        #expect(settings.postgres == nil)
        #expect(settings.analyticsNode == nil)
        #expect(settings.aggregationWindow == .seconds(30))
        #expect(settings.batchSize == 1000)
        #expect(settings.memoryByteCountMax == 32 << 20)
        #expect(settings.spoolByteCountMax == 256 << 20)
        #expect(settings.durableLevel == .error)
        #expect(settings.patternCountMax == 5000)
        #expect(settings.logLevel == .info)
        #expect(settings.logFormat == .auto)
        #expect(settings.placeholderStyle == .angle)
        #expect(settings.retentionDayCount == 30)
        #expect(settings.storeByteCountMax == 256 << 20)
        #expect(settings.httpBodyByteCountMax == 8 << 20)
        #expect(!settings.isInsecureAllowed)
        #expect(loaded.warnings.isEmpty)
        #expect(loaded.values.map(\.key) == SettingKey.allCases)
        #expect(loaded.values.allSatisfy { $0.origin == .standard })
    }

    @Test func `PostgreSQL is used as soon as a host is named`() throws {
        let postgres = try #require(load("POSTGRES_HOST=db.local").settings?.postgres)
        #expect(postgres.host == "db.local")
        #expect(postgres.port == 5432)
        #expect(postgres.database == "logboom")
        #expect(postgres.user == "logboom")
        #expect(postgres.password == nil)
        #expect(postgres.sslMode == .prefer)
        #expect(postgres.poolMin == 1)
        #expect(postgres.poolMax == 2)
    }

    @Test func `later sources win and each value says where it came from`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                files: [
                    file("/etc/logboom/logboom.conf", "BATCH_SIZE=100\nMAX_PATTERNS=200\n\nLOG_LEVEL=warn\n"),
                    file("/etc/logboom/logboom.conf.d/10-a.conf", "MAX_PATTERNS=300\nLOG_LEVEL=error"),
                ],
                environment: ["HOME": "/home/pi", "LOG_LEVEL": "debug", "RETENTION_DAYS": "7"],
                flags: ["RETENTION_DAYS=8", "RETENTION_DAYS=9"]
            )
        )
        #expect(result.value(.batchSize)?.origin == .file(name: "/etc/logboom/logboom.conf", line: 1))
        #expect(result.value(.maxPatterns)?.text == "300")
        #expect(result.value(.maxPatterns)?.origin.description == "/etc/logboom/logboom.conf.d/10-a.conf:1")
        #expect(result.settings?.logLevel == .debug)
        #expect(result.value(.logLevel)?.origin == .environment)
        #expect(result.settings?.retentionDayCount == 9)
        #expect(result.value(.retentionDays)?.origin == .flag)
        #expect(result.value(.durableLevel)?.origin == .standard)
    }

    @Test func `an empty value in a drop-in sets a key back to its default`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                files: [file("a", "POSTGRES_HOST=db\nBATCH_SIZE=5000"), file("b", "POSTGRES_HOST=\nBATCH_SIZE=''")],
                environment: home
            )
        )
        #expect(result.settings?.postgres == nil)
        #expect(result.settings?.batchSize == 1000)
        #expect(result.value(.batchSize)?.origin == .file(name: "b", line: 2))
    }

    @Test func `an empty environment variable overrides nothing`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                files: [file("a", "POSTGRES_HOST=db")],
                environment: ["HOME": "/home/pi", "POSTGRES_HOST": ""]
            )
        )
        #expect(result.settings?.postgres?.host == "db")
    }

    @Test func `all errors are reported at once, each with its place`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                files: [file("a.conf", "BATCH_SIZE=0\nPOSTGRES_HOTS=db\nnonsense\n"), file("b.conf", "LISTEN=8004")],
                fileProblems: [SettingsProblem("reading c.conf: there is no such file")],
                environment: ["HOME": "/home/pi", "LOG_LEVEL": "loud"],
                flags: ["SPOOL_LIMIT=1", "DURABLE=on", "X"]
            )
        )
        #expect(
            result.errors == [
                "reading c.conf: there is no such file",
                "a.conf:2: POSTGRES_HOTS: there is no such key; did you mean POSTGRES_HOST?",
                "a.conf:3: this line has no \"=\"; a line is KEY=value, or a comment that starts with #",
                "flag: DURABLE: there is no such key",
                "flag: --set needs KEY=VALUE, as in --set BATCH_SIZE=500",
                "b.conf:1: LISTEN: \"8004\" has no port; write host:port, as in 127.0.0.1:8004; allowed: "
                    + "host:port, [IPv6]:port, tls:host:port and unix:/PATH, up to 16, with commas between them",
                "a.conf:1: BATCH_SIZE: 0 is out of range; allowed: 1 to 100000",
                "flag: SPOOL_LIMIT: \"1\" is out of range; allowed: 1M to 1024G",
                "environment: LOG_LEVEL: \"loud\" is no level; allowed: trace, debug, info, notice, warn, error, fatal",
            ]
        )
        #expect(SettingsProblems.exitCode == 78)
    }

    @Test func `a bad value that a later source overrides is a warning`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                files: [file("a.conf", "BATCH_SIZE=many")],
                environment: home,
                flags: ["BATCH_SIZE=500"]
            )
        )
        #expect(result.settings?.batchSize == 500)
        #expect(result.warnings == ["a.conf:1: BATCH_SIZE: \"many\" is not a whole number; allowed: 1 to 100000"])
    }

    @Test func `a key set twice in one file warns and the later one counts`() {
        let result = load(file: "BATCH_SIZE=200\nBATCH_SIZE=300\n")
        #expect(result.settings?.batchSize == 300)
        #expect(result.warnings == ["a.conf:2: BATCH_SIZE: is set twice in this file; line 1 has no effect"])
    }

    @Test(arguments: [
        ("POSTGRES_HOTS", "POSTGRES_HOST"), ("postgres_host", "POSTGRES_HOST"), ("BATCHSIZE", "BATCH_SIZE"),
        ("AGREGATION_WINDOW", "AGGREGATION_WINDOW"), ("POSTGRES_PASSWD", "POSTGRES_PASSWORD"), ("LISTENS", "LISTEN"),
    ])
    func `a mistyped key in a file gets the key that was meant`(pair: (typed: String, meant: String)) {
        let errors = load(file: "\(pair.typed)=1").errors
        #expect(errors == ["a.conf:1: \(pair.typed): there is no such key; did you mean \(pair.meant)?"])
    }

    @Test func `strange environment variables are ignored, and those that look like ours warn`() {
        var environment = home
        for name in ["PATH", "LANG", "LISTEN_FDS", "LISTEN_PID", "LOGNAME", "LOGBOOM_URL", "JOURNAL_STREAM", "PGHOST"] {
            environment[name] = "1"
        }
        #expect(SettingsLoader.load(SettingsLoader.Input(environment: environment)).warnings.isEmpty)
        environment["POSTGRES_HOTS"] = "db"
        environment["LOGBOOM_BATCH_SIZE"] = "1"
        environment["LOGBOOM_COLOUR"] = "1"
        #expect(
            SettingsLoader.load(SettingsLoader.Input(environment: environment)).warnings == [
                "environment: LOGBOOM_BATCH_SIZE: is no key and has no effect; did you mean BATCH_SIZE?",
                "environment: LOGBOOM_COLOUR: is no key and has no effect",
                "environment: POSTGRES_HOTS: is no key and has no effect; did you mean POSTGRES_HOST?",
            ]
        )
    }

    @Test func `under systemd the daemon also listens in its runtime directory and keeps state where it is told`() {
        let result = SettingsLoader.load(
            SettingsLoader.Input(
                environment: ["RUNTIME_DIRECTORY": "/run/logboom:/run/other", "STATE_DIRECTORY": "/var/lib/logboom"])
        )
        #expect(
            result.settings?.listen == [.tcp(host: "127.0.0.1", port: 8004), .unix(path: "/run/logboom/logboom.sock")]
        )
        #expect(result.value(.stateDirectory)?.origin == .environment)
    }

    @Test func `without systemd the packaged service's folder is listened in, where it can be used`() {
        var input = SettingsLoader.Input(environment: home)
        #expect(SettingsLoader.load(input).settings?.listen == [.tcp(host: "127.0.0.1", port: 8004)])
        input.socketFolder = "/run/logboom"
        #expect(SettingsLoader.load(input).settings?.listen.last == .unix(path: "/run/logboom/logboom.sock"))
        input.flags = ["LISTEN=127.0.0.1:1"]
        #expect(SettingsLoader.load(input).settings?.listen == [.tcp(host: "127.0.0.1", port: 1)])
    }

    @Test func `tokens come from a systemd credential when no file is named`() {
        let line = "a \(String(repeating: "0a", count: 32)) ingest"
        var input = SettingsLoader.Input(environment: home.merging(["CREDENTIALS_DIRECTORY": "/creds"]) { $1 })
        #expect(SettingsLoader.load(input).settings?.access.tokens == nil)
        input.readTokens = { $0 == "/creds/tokens" ? .success(Array(line.utf8)) : .failure(.missing) }
        input.flags = ["LISTEN=0.0.0.0:8004"]
        let loaded = SettingsLoader.load(input)
        #expect(loaded.settings?.access.tokens?.tokens.map(\.name) == ["a"])
        #expect(loaded.value(.tokensFile)?.origin == .credential(path: "/creds/tokens"))
        input.flags = ["TOKENS_FILE=/other"]
        #expect(
            SettingsLoader.load(input).errors == [
                "flag: TOKENS_FILE: reading \"/other\": there is no such file; \"logboom token new NAME --file /other\" makes it"
            ]
        )
    }

    @Test func `every line of a tokens file that cannot be right is said, and an empty file is worth a warning`() {
        func load(_ text: String) -> Result<LoadedSettings, SettingsProblems> {
            var input = SettingsLoader.Input(environment: home, flags: ["TOKENS_FILE=/t"])
            input.readTokens = { _ in .success(Array(text.utf8)) }
            return SettingsLoader.load(input)
        }
        let errors = load("a b\n# fine\nc d e").errors
        #expect(errors.map { $0.prefix(26) } == ["flag: TOKENS_FILE: /t:1: n", "flag: TOKENS_FILE: /t:3: t"])
        #expect(load("# nobody").warnings.first?.contains("every port turns everybody away") == true)
    }

    @Test func `the state directory of a user follows the XDG specification`() {
        func directory(_ environment: [String: String]) -> String? {
            SettingsLoader.load(SettingsLoader.Input(environment: environment)).settings?.stateDirectory
        }
        #expect(directory(["HOME": "/home/pi"]) == "/home/pi/.local/state/logboom")
        #expect(directory(["HOME": "/home/pi", "XDG_STATE_HOME": "/s"]) == "/s/logboom")
        #expect(directory(["HOME": "/home/pi", "XDG_STATE_HOME": "relative"]) == "/home/pi/.local/state/logboom")
        #expect(directory(["STATE_DIRECTORY": "/x"]) == "/x")
        #expect(
            SettingsLoader.load(SettingsLoader.Input()).errors == [
                "STATE_DIRECTORY: has no default, because this user has no home; allowed: an absolute path"
            ]
        )
    }

    @Test(arguments: ["0.0.0.0:8004", "[::]:8004", "192.168.1.5:8004", "pi.local:8004", "[::ffff:10.0.0.1]:1"])
    func `an address that others reach is refused until it is allowed`(address: String) {
        let errors = load("LISTEN=127.0.0.1:1,\(address)").errors
        #expect(errors.count == 1)
        #expect(errors.first?.hasPrefix("flag: LISTEN: \"\(address)\" can be reached from other machines") == true)
        #expect(errors.first?.contains("ALLOW_INSECURE=true") == true)
        #expect(errors.first?.contains("logboom token new NAME --file /etc/logboom/tokens") == true)
        #expect(load("LISTEN=\(address)", "ALLOW_INSECURE=true").settings?.listen.count == 1)
    }

    @Test func `TLS needs both of its files, and what cannot have an effect is said`() {
        let files = ["TLS_CERTIFICATE=/c", "TLS_KEY=/k"]
        let alone = "has no effect alone: TLS needs both TLS_CERTIFICATE and TLS_KEY"
        for key in ["TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA"] {
            #expect(load("\(key)=/f").errors == ["flag: \(key): \(alone)"])
        }
        #expect(
            load("LISTEN=tls:127.0.0.1:1").errors == [
                "flag: LISTEN: \"tls:127.0.0.1:1\" needs TLS_CERTIFICATE and TLS_KEY"
            ]
        )
        #expect(
            load("LISTEN=127.0.0.1:1", files[0], files[1]).warnings == [
                "flag: TLS_CERTIFICATE: has no effect: no address in LISTEN is reached from other machines, or begins with tls:"
            ]
        )
        #expect(load("LISTEN=tls:unix:/s").errors.count == 1)
        #expect(load("LISTEN=tls:127.0.0.1:1", files[0], files[1]).warnings.isEmpty)
        #expect(load("LISTEN=tls:[::1]:1", files[0], files[1]).settings?.listen == [.tls(host: "::1", port: 1)])
    }

    @Test
    func
        `a port that other machines reach is guarded by an authority for clients, and not by a certificate of its own`()
    {
        let files = ["LISTEN=0.0.0.0:1", "TLS_CERTIFICATE=/c", "TLS_KEY=/k"]
        #expect(load(files[0], files[1], files[2]).errors.first?.contains("can be reached from other machines") == true)
        let settings = load(files[0], files[1], files[2], "TLS_CLIENT_CA=/a").settings
        #expect(settings?.tls == TLSSettings(certificate: "/c", key: "/k", clientAuthority: "/a"))
        #expect(settings?.listen.first?.speaksTLS == true)
    }

    @Test func `tokens that would come over plain HTTP from other machines are worth a warning`() {
        let line = "a \(String(repeating: "0a", count: 32)) ingest"
        func warnings(_ flags: String...) -> [String] {
            var input = SettingsLoader.Input(environment: home, flags: flags + ["TOKENS_FILE=/t"])
            input.readTokens = { _ in .success(Array(line.utf8)) }
            return SettingsLoader.load(input).warnings
        }
        #expect(warnings("LISTEN=0.0.0.0:1").first?.contains("can be read on the way") == true)
        #expect(warnings("LISTEN=127.0.0.1:1").isEmpty)
        #expect(warnings("LISTEN=0.0.0.0:1", "TLS_CERTIFICATE=/c", "TLS_KEY=/k").isEmpty)
    }

    @Test func `a body may not be larger than the memory budget, and its default gives way`() {
        #expect(load("MEMORY_LIMIT=4M").settings?.httpBodyByteCountMax == 2 << 20)
        #expect(load("MEMORY_LIMIT=8M", "HTTP_BODY_LIMIT=8M").settings?.httpBodyByteCountMax == 8 << 20)
        #expect(
            load("MEMORY_LIMIT=8M", "HTTP_BODY_LIMIT=9M").errors == [
                "flag: HTTP_BODY_LIMIT: is more than MEMORY_LIMIT, which is 8M"
            ]
        )
    }

    @Test func `the pool's minimum may not exceed its maximum`() {
        #expect(load("POSTGRES_HOST=h", "POSTGRES_POOL_MIN=2").settings?.postgres?.poolMin == 2)
        #expect(
            load("POSTGRES_POOL_MIN=3").errors == [
                "flag: POSTGRES_POOL_MIN: POSTGRES_POOL_MIN is 3, more than POSTGRES_POOL_MAX, which is 2"
            ]
        )
    }

    @Test func `keys of PostgreSQL without a host warn`() {
        #expect(
            load("POSTGRES_DB=logs").warnings == [
                "flag: POSTGRES_DB: has no effect while POSTGRES_HOST is not set: patterns go to the embedded store"
            ]
        )
    }

    @Test func `a batch size below 100 warns`() {
        #expect(load("BATCH_SIZE=100").warnings.isEmpty)
        #expect(load("BATCH_SIZE=99").warnings.count == 1)
        #expect(load("BATCH_SIZE=10").settings?.batchSize == 10)
    }

    @Test func `what is shown of every key reads back as the same settings`() throws {
        let given = [
            "LISTEN=[::1]:1, localhost:0 ,unix:/run/x.sock", "POSTGRES_HOST=/run/postgresql", "POSTGRES_PORT=5433",
            "POSTGRES_SSLMODE=verify-full", "ANALYTICS_NODE_URL=HTTP://node:8002/base/", "AGGREGATION_WINDOW=2m",
            "DURABLE_LEVEL=OFF", "MEMORY_LIMIT=65536K", "SPOOL_LIMIT=1048577", "PLACEHOLDER_STYLE=braces",
            "LOG_FORMAT=JSON", "LOG_LEVEL=Warn", "POSTGRES_POOL_MAX=10", "STORE_LIMIT=2G", "RETENTION_DAYS=1",
        ]
        let first = try SettingsLoader.load(SettingsLoader.Input(environment: home, flags: given)).get()
        let shown = first.values.filter { !$0.key.isSecret }.map { "\($0.key)=\($0.text)" }
        let second = try SettingsLoader.load(SettingsLoader.Input(environment: home, flags: shown)).get()
        #expect(first.settings == second.settings)
        #expect(first.values.map(\.text) == second.values.map(\.text))
    }

    @Test func `random files make settings or problems, never both and never neither`() {
        var generator = SeededGenerator(of: "settings")
        let words =
            SettingKey.allCases.map(\.rawValue) + [
                "=", "=", "=", "\n", "\n", "1", "30s", "9999999999999999999", "M", "K", "-",
            ]
            + [
                "unix:", "/", "[::1]", ":", ",", "http://", "@", "'", "\"", "\\", "\u{202E}", "é", "off", "true", " ",
                "#",
            ]
        for _ in 0..<3_000 {
            let text = (0..<generator.next(below: 40)).map { _ in words[generator.next(below: words.count)] }.joined()
            switch load(file: text) {
            case .success(let loaded): #expect(loaded.values.count == SettingKey.allCases.count)
            case .failure(let problems): #expect(!problems.errors.isEmpty, "\(generator.repeatHint)")
            }
        }
    }
}
