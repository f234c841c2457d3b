import Admission
import LogModel
import Testing

@testable import Settings

/// SIGHUP: what is applied, what needs a restart.
struct ReloadTests {
    private func loaded(_ flags: [String]) throws -> LoadedSettings {
        try SettingsLoader.load(SettingsLoader.Input(environment: home, flags: flags)).get()
    }

    private static let changes: [(key: SettingKey, old: String, new: String)] = [
        (.listen, "127.0.0.1:1", "127.0.0.1:2"), (.hostNames, "a", "b"), (.allowInsecure, "false", "true"),
        (.httpBodyLimit, "1M", "2M"), (.journal, "auto", "off"), (.journalUnits, "a", "b"),
        (.journalPriority, "info", "warn"), (.journalLookback, "1h", "2h"), (.journalWait, "1h", "2h"),
        (.journalDirectory, "/a", "/b"),
        (.postgresHost, "a", "b"), (.postgresPort, "1", "2"), (.postgresDatabase, "a", "b"), (.postgresUser, "a", "b"),
        (.postgresPassword, "a", "b"), (.postgresSSLMode, "allow", "prefer"), (.postgresPoolMin, "1", "2"),
        (.postgresPoolMax, "2", "3"), (.analyticsNodeURL, "http://a", "http://b"), (.aggregationWindow, "1", "2"),
        (.batchSize, "100", "200"), (.durableLevel, "off", "warn"), (.rateLimit, "0", "1"), (.rateBurst, "1", "2"),
        (.maxPatterns, "100", "200"),
        (.placeholderStyle, "angle", "braces"), (.redaction, "plain", "hash"),
        (.memoryLimit, "16M", "17M"), (.stateDirectory, "/a", "/b"),
        (.spoolLimit, "1M", "2M"), (.retentionDays, "1", "2"), (.storeLimit, "1M", "2M"), (.logLevel, "info", "warn"),
        (.logFormat, "text", "json"),
    ]

    @Test(arguments: changes)
    func `a changed key is applied exactly when it says so`(change: (key: SettingKey, old: String, new: String)) throws
    {
        let old = try loaded(["POSTGRES_HOST=h", "\(change.key)=\(change.old)"])
        let new = try loaded(["POSTGRES_HOST=h", "\(change.key)=\(change.new)"])
        let differences = new.reloadDifferences(from: old)
        #expect(differences.applied == (change.key.isReloadable ? [change.key] : []))
        #expect(differences.needsRestart == (change.key.isReloadable ? [] : [change.key]))
        let running = old.reloaded(with: new)
        #expect(running.settings == (change.key.isReloadable ? new : old).settings)
        #expect(running.reloadDifferences(from: old).applied == differences.applied)
    }

    @Test func `the keys that SIGHUP applies are the ones the documentation names`() {
        let applied = SettingKey.allCases.filter(\.isReloadable)
        #expect(
            applied == [
                .hostNames, .tokensFile, .postgresPassword, .postgresPasswordFile, .aggregationWindow, .batchSize,
                .durableLevel, .rateLimit, .rateBurst, .memoryLimit,
                .retentionDays, .storeLimit, .logLevel,
            ]
        )
        let changed = Set(Self.changes.map(\.key)).union([
            .postgresPasswordFile, .tokensFile, .tlsCertificate, .tlsKey, .tlsClientAuthority,
        ])
        #expect(changed == Set(SettingKey.allCases))
    }

    @Test func `nothing changed is said as such`() throws {
        let settings = try loaded([])
        #expect(settings.reloadDifferences(from: settings).summary == "nothing changed")
    }

    @Test func `a new password file is applied and its content with it`() throws {
        func loaded(_ password: String, _ path: String) throws -> LoadedSettings {
            try SettingsLoader.load(
                SettingsLoader.Input(
                    environment: home,
                    flags: ["POSTGRES_HOST=h", "POSTGRES_PASSWORD_FILE=\(path)"],
                    readFile: { _ in .success(Array(password.utf8)) }
                )
            ).get()
        }
        let old = try loaded("one", "/a")
        let sameFile = try loaded("two", "/a")
        #expect(sameFile.reloadDifferences(from: old).applied == [.postgresPassword])
        #expect(old.reloaded(with: sameFile).settings.postgres?.password == Secret("two"))
        let otherFile = try loaded("one", "/b")
        #expect(otherFile.reloadDifferences(from: old).applied == [.postgresPasswordFile])
        #expect(old.reloaded(with: otherFile).settings.postgres?.passwordFile == "/b")
        let rotated = old.reloaded(with: sameFile).reloadDifferences(from: old).summary
        #expect(rotated == "applied POSTGRES_PASSWORD")
    }

    @Test func `a password that belongs to another server waits for the restart`() throws {
        let old = try loaded(["POSTGRES_HOST=a", "POSTGRES_PASSWORD=one", "BATCH_SIZE=100"])
        let new = try loaded(["POSTGRES_HOST=b", "POSTGRES_PASSWORD=two", "BATCH_SIZE=200"])
        let differences = new.reloadDifferences(from: old)
        #expect(differences.applied == [.batchSize])
        #expect(differences.needsRestart == [.postgresHost, .postgresPassword])
        #expect(
            differences.summary == "applied BATCH_SIZE; a restart is needed for POSTGRES_HOST, POSTGRES_PASSWORD"
        )
        let running = old.reloaded(with: new)
        #expect(running.settings.postgres == old.settings.postgres)
        #expect(running.settings.batchSize == 200)
    }

    private func loaded(tokens lines: String?, _ flags: String...) throws -> LoadedSettings {
        var input = SettingsLoader.Input(environment: home, flags: flags)
        if let lines {
            input.flags.append("TOKENS_FILE=/tokens")
            input.readTokens = { _ in .success(Array(lines.utf8)) }
        }
        return try SettingsLoader.load(input).get()
    }

    private static let line = "a \(String(repeating: "0a", count: 32)) ingest"

    @Test func `a line more in the tokens file is a change, though the file is the same`() throws {
        let old = try loaded(tokens: "# none\n\(Self.line)")
        #expect(try loaded(tokens: Self.line).reloadDifferences(from: old).summary == "nothing changed")
        let new = try loaded(tokens: Self.line.replacing(" ingest", with: " read"))
        #expect(new.reloadDifferences(from: old).summary == "applied TOKENS_FILE")
        #expect(old.reloaded(with: new).settings.access.policy == new.settings.access.policy)
    }

    @Test func `tokens that are no longer there stay in force while a port is open to other machines`() throws {
        let old = try loaded(tokens: Self.line, "LISTEN=0.0.0.0:8004")
        let new = try loaded(tokens: nil, "LISTEN=127.0.0.1:8004")
        #expect(new.reloadDifferences(from: old).needsRestart == [.listen, .tokensFile])
        #expect(old.reloaded(with: new).settings.access == old.settings.access)
        let insecure = try loaded(tokens: nil, "LISTEN=0.0.0.0:8004", "ALLOW_INSECURE=true")
        #expect(old.reloaded(with: insecure).settings.access == old.settings.access)
        let local = try loaded(tokens: Self.line, "LISTEN=127.0.0.1:8004")
        #expect(local.reloaded(with: new).settings.access.tokens == nil)
    }

    @Test func `other files of TLS wait for the restart, and a port stays guarded by the authority it was opened with`()
        throws
    {
        let tls = ["TLS_CERTIFICATE=/c", "TLS_KEY=/k", "TLS_CLIENT_CA=/a"]
        let old = try loaded(["LISTEN=0.0.0.0:8004"] + tls)
        let new = try loaded(["LISTEN=0.0.0.0:8004", "TLS_CERTIFICATE=/d", "TLS_KEY=/l", "TLS_CLIENT_CA=/b"])
        #expect(new.reloadDifferences(from: old).needsRestart == [.tlsCertificate, .tlsKey, .tlsClientAuthority])
        #expect(old.reloaded(with: new).settings == old.settings)
        let guarded = try loaded(tokens: Self.line, "LISTEN=0.0.0.0:8004", tls[0], tls[1], tls[2])
        let open = try loaded(tokens: nil, "LISTEN=0.0.0.0:8004", tls[0], tls[1], tls[2])
        #expect(open.reloadDifferences(from: guarded).applied == [.tokensFile], "certificates still keep strangers out")
    }
}
