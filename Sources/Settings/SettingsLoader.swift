internal import Admission
internal import LogModel

/// Makes one validated ``Settings`` of files, environment and flags, or says everything that is wrong with them at once.
/// Pure: what it must read from disk (a password file) it reads through ``Input/readFile``.
package enum SettingsLoader {
    /// All that settings are made of.
    package struct Input: Sendable {
        /// Configuration files in the order in which they count, a later one over an earlier one.
        package var files: [(name: String, bytes: [UInt8])]
        /// What went wrong while the files were being found and read; reported with everything else.
        package var fileProblems: [SettingsProblem]
        package var environment: [String: String]
        /// `KEY=VALUE`, one for each `--set`.
        package var flags: [String]
        /// Whether the default of `STATE_DIRECTORY` is the system's.
        package var isRoot: Bool
        /// Reads a small file; used for secrets only.
        package var readFile: @Sendable (String) -> Result<[UInt8], FileProblem>
        /// Reads the tokens file, which nobody else may read or change.
        package var readTokens: @Sendable (String) -> Result<[UInt8], FileProblem> = { _ in .failure(.missing) }
        /// The folder for the unix socket that is listened on by default, when there is one: `RUNTIME_DIRECTORY`, else the
        /// packaged service's if this process may make a socket in it.
        package var socketFolder: String?

        package init(
            files: [(name: String, bytes: [UInt8])] = [],
            fileProblems: [SettingsProblem] = [],
            environment: [String: String] = [:],
            flags: [String] = [],
            isRoot: Bool = false,
            readFile: @escaping @Sendable (String) -> Result<[UInt8], FileProblem> = { _ in .failure(.missing) }
        ) {
            self.files = files
            self.fileProblems = fileProblems
            self.environment = environment
            self.flags = flags
            self.isRoot = isRoot
            self.readFile = readFile
        }
    }

    /// Reads, checks and combines. Later sources win: default, files in order, environment, flags. An empty value sets a key
    /// back to its default; an empty environment variable has no effect. A bad value that a later source overrides is a warning.
    package static func load(_ input: Input) -> Result<LoadedSettings, SettingsProblems> {
        var loading = Loading(input)
        return loading.run()
    }
}

private struct Loading {
    private struct Assignment {
        var value: String
        var origin: SettingOrigin
    }

    private let input: SettingsLoader.Input
    private var errors: [SettingsProblem] = []
    private var warnings: [SettingsProblem] = []
    private var assignments: [SettingKey: [Assignment]] = [:]
    private var draft = SettingsDraft()
    private var origins: [SettingKey: SettingOrigin] = [:]
    private var password: (secret: Secret, file: String?)?
    private var tokens: (set: TokenSet, file: String)?

    init(_ input: SettingsLoader.Input) {
        self.input = input
    }

    mutating func run() -> Result<LoadedSettings, SettingsProblems> {
        errors += input.fileProblems
        for file in input.files { collect(file.name, file.bytes) }
        collectEnvironment()
        collectFlags()
        for definition in SettingDefinition.table { resolve(definition) }
        if errors.isEmpty {
            findPassword()
            findTokens()
        }
        checkRelations()
        guard errors.isEmpty else { return .failure(SettingsProblems(errors: errors, warnings: warnings)) }
        return .success(LoadedSettings(settings: settings(), values: values(), warnings: warnings))
    }

    // MARK: Collecting

    private mutating func collect(_ name: String, _ bytes: [UInt8]) {
        let (found, flaws) = EnvironmentFile.parse(bytes)
        var problems: [(line: Int, isWarning: Bool, problem: SettingsProblem)] = []
        for flaw in flaws {
            let origin = SettingOrigin.file(name: name, line: flaw.line)
            problems.append((flaw.line, flaw.isWarning, SettingsProblem(origin: origin, flaw.what)))
        }
        var lines: [SettingKey: Int] = [:]
        for assignment in found {
            let origin = SettingOrigin.file(name: name, line: assignment.line)
            guard let key = SettingKey(rawValue: assignment.name) else {
                problems.append((assignment.line, false, Self.unknownKey(assignment.name, origin)))
                continue
            }
            if let earlier = lines.updateValue(assignment.line, forKey: key) {
                let what = "is set twice in this file; line \(earlier) has no effect"
                problems.append((assignment.line, true, SettingsProblem(origin: origin, key: key.rawValue, what)))
                assignments[key]?.removeLast()
            }
            assignments[key, default: []].append(Assignment(value: assignment.value, origin: origin))
        }
        for (_, isWarning, problem) in problems.sorted(by: { $0.line < $1.line }) {
            if isWarning { warnings.append(problem) } else { errors.append(problem) }
        }
    }

    private static func unknownKey(_ name: String, _ origin: SettingOrigin) -> SettingsProblem {
        SettingsProblem(
            origin: origin,
            key: name,
            "there is no such key",
            suggestion: Suggestion.key(for: name)?.rawValue
        )
    }

    /// Variables for the command line and for systemd and its like, which look like a mistyped key but are none.
    private static let foreignVariables: Set<String> = [
        "LOGBOOM_URL", "LOGBOOM_TOKEN_FILE", "LOGBOOM_TEST_SEED", "LOGBOOM_UPDATE_GOLDEN",
    ]

    private mutating func collectEnvironment() {
        for (name, value) in input.environment.sorted(by: { $0.key < $1.key }) {
            if let key = SettingKey(rawValue: name) {
                // An empty variable is one that a shell or a compose file left unset: it overrides nothing.
                if !value.isEmpty {
                    assignments[key, default: []].append(Assignment(value: value, origin: .environment))
                }
                continue
            }
            guard !Self.foreignVariables.contains(name), name.utf8.count <= 64 else { continue }
            let bare = name.hasPrefix("LOGBOOM_") ? String(name.dropFirst(8)) : name
            let suggestion = Suggestion.key(for: bare)
            guard suggestion != nil || name.hasPrefix("LOGBOOM_") else { continue }
            warnings.append(
                SettingsProblem(
                    origin: .environment,
                    key: name,
                    "is no key and has no effect",
                    suggestion: suggestion?.rawValue
                )
            )
        }
    }

    private mutating func collectFlags() {
        for flag in input.flags {
            guard let equals = flag.firstIndex(of: "=") else {
                errors.append(SettingsProblem(origin: .flag, "--set needs KEY=VALUE, as in --set BATCH_SIZE=500"))
                continue
            }
            let name = String(flag[..<equals])
            guard let key = SettingKey(rawValue: name) else {
                errors.append(
                    SettingsProblem(
                        origin: .flag,
                        key: shownName(name),
                        "there is no such key",
                        suggestion: name.utf8.count <= 64 ? Suggestion.key(for: name)?.rawValue : nil
                    )
                )
                continue
            }
            let value = String(flag[flag.index(after: equals)...])
            assignments[key, default: []].append(Assignment(value: value, origin: .flag))
        }
    }

    private func shownName(_ name: String) -> String {
        String(quoted(name).dropFirst().dropLast())
    }

    // MARK: Values

    private mutating func resolve(_ definition: SettingDefinition) {
        let key = definition.key
        origins[key] = .standard
        if let standard = standardValue(definition) {
            read(standard, with: definition, from: .standard, isDecisive: true)
        }
        let given = assignments[key] ?? []
        for (index, assignment) in given.enumerated() {
            let isDecisive = index == given.count - 1
            if isDecisive { origins[key] = assignment.origin }
            guard !assignment.value.isEmpty else { continue }
            read(assignment.value, with: definition, from: assignment.origin, isDecisive: isDecisive)
        }
    }

    private mutating func read(
        _ value: String,
        with definition: SettingDefinition,
        from origin: SettingOrigin,
        isDecisive: Bool
    ) {
        var attempt = draft
        do throws(ValueProblem) {
            try definition.read(&attempt, value)
        } catch {
            let problem = SettingsProblem(
                origin: origin,
                key: definition.key.rawValue,
                error.what,
                allowed: definition.allowed
            )
            if isDecisive { errors.append(problem) } else { warnings.append(problem) }
            return
        }
        if isDecisive { draft = attempt }
    }

    /// The default's text; `nil` when the key has none. Reports a default that cannot be found out.
    private mutating func standardValue(_ definition: SettingDefinition) -> String? {
        switch definition.standard {
        case .text(let text): return text
        case .unset: return nil
        case .derived(let shown):
            switch definition.key {
            case .listen:
                guard let folder = firstPath("RUNTIME_DIRECTORY") ?? input.socketFolder else { return shown }
                return "\(shown),unix:\(folder)/logboom.sock"
            case .stateDirectory: return standardStateDirectory(system: shown)
            default: return shown
            }
        }
    }

    private mutating func standardStateDirectory(system: String) -> String? {
        // Given by hand it needs no default, and a user without a home gets no error.
        if assignments[.stateDirectory]?.last?.value.isEmpty == false { return nil }
        if input.isRoot { return system }
        if let folder = firstPath("XDG_STATE_HOME") { return "\(folder)/logboom" }
        if let home = firstPath("HOME") {
            return home == "/" ? "/.local/state/logboom" : "\(home)/.local/state/logboom"
        }
        errors.append(
            SettingsProblem(
                key: SettingKey.stateDirectory.rawValue,
                "has no default, because this user has no home",
                allowed: SettingKey.stateDirectory.allowed
            )
        )
        return nil
    }

    /// The first path of a variable that may hold several with colons between them (systemd.exec(5),
    /// "RuntimeDirectory="); `nil` when it is not set or not absolute, which the XDG base directory specification
    /// says to ignore.
    private func firstPath(_ variable: String) -> String? {
        guard let first = input.environment[variable]?.split(separator: ":").first, first.hasPrefix("/") else {
            return nil
        }
        return String(first)
    }

    // MARK: Secrets

    private mutating func findPassword() {
        guard draft.postgresHost != nil else { return }
        let passwordOrigin = origins[.postgresPassword] ?? .standard
        if let path = draft.postgresPasswordFile {
            switch readSecret(path) {
            case .success(let secret):
                password = (secret, path)
                if draft.postgresPassword != nil {
                    warnings.append(
                        SettingsProblem(
                            origin: passwordOrigin,
                            key: SettingKey.postgresPassword.rawValue,
                            "has no effect, because POSTGRES_PASSWORD_FILE goes before it"
                        )
                    )
                }
                origins[.postgresPassword] = .secretFile(path: path)
            case .failure(let problem):
                errors.append(
                    SettingsProblem(
                        origin: origins[.postgresPasswordFile],
                        key: SettingKey.postgresPasswordFile.rawValue,
                        "reading \(quoted(path)): \(problem.what)"
                    )
                )
            }
            return
        }
        if let folder = firstPath("CREDENTIALS_DIRECTORY") {
            let path = "\(folder)/postgres-password"
            switch readSecret(path) {
            case .success(let secret):
                password = (secret, path)
                origins[.postgresPassword] = .credential(path: path)
                return
            case .failure(.missing): break
            case .failure(let problem):
                errors.append(
                    SettingsProblem(
                        origin: .credential(path: path),
                        key: SettingKey.postgresPassword.rawValue,
                        problem.what
                    )
                )
                return
            }
        }
        guard let secret = draft.postgresPassword else { return }
        password = (secret, nil)
        if passwordOrigin == .environment || passwordOrigin == .flag {
            warnings.append(
                SettingsProblem(
                    origin: passwordOrigin,
                    key: SettingKey.postgresPassword.rawValue,
                    "other programs of this user can see it here; POSTGRES_PASSWORD_FILE or a systemd credential is safer"
                )
            )
        }
    }

    private func readSecret(_ path: String) -> Result<Secret, FileProblem> {
        input.readFile(path).flatMap { Secret.reading($0) }
    }

    /// The tokens of `TOKENS_FILE`, else of the systemd credential.
    private mutating func findTokens() {
        let key = SettingKey.tokensFile
        let path: String
        if let file = draft.tokensFile {
            path = file
        } else if let folder = firstPath("CREDENTIALS_DIRECTORY") {
            path = "\(folder)/tokens"
        } else {
            return
        }
        let origin = draft.tokensFile == nil ? SettingOrigin.credential(path: path) : origins[key]
        switch input.readTokens(path) {
        case .failure(.missing) where draft.tokensFile == nil: return
        case .failure(let problem):
            let advice = problem == .missing ? "; \"logboom token new NAME --file \(path)\" makes it" : ""
            errors.append(
                SettingsProblem(origin: origin, key: key.rawValue, "reading \(quoted(path)): \(problem.what)\(advice)")
            )
        case .success(let bytes):
            switch TokenFile.parse(bytes) {
            case .failure(let problems):
                for problem in problems.all {
                    let place = problem.line == 0 ? path : "\(path):\(problem.line)"
                    errors.append(SettingsProblem(origin: origin, key: key.rawValue, "\(place): \(problem.what)"))
                }
            case .success(let set):
                tokens = (set, path)
                if draft.tokensFile == nil { origins[key] = .credential(path: path) }
                if set.tokens.isEmpty {
                    warnings.append(
                        SettingsProblem(
                            origin: origin,
                            key: key.rawValue,
                            "\(quoted(path)) has no token in it, so every port turns everybody away"
                        )
                    )
                }
            }
        }
    }

    // MARK: Relations

    /// The front door stands open for those only whom somebody let in.
    private mutating func checkListening() {
        let reachable = draft.listen.filter { !$0.isLoopback }
        let isGuarded = draft.tokensFile != nil || tokens != nil || tls?.clientAuthority != nil
        guard !reachable.isEmpty, !isGuarded, !draft.allowInsecure else { return }
        let addresses = reachable.map { quoted($0.description) }.joined(separator: ", ")
        problem(
            .listen,
            "\(addresses) can be reached from other machines, and nothing says who may read and write logs there. Make a "
                + "token (logboom token new NAME --file /etc/logboom/tokens) and set TOKENS_FILE=/etc/logboom/tokens; or "
                + "ask for client certificates with TLS_CERTIFICATE, TLS_KEY and TLS_CLIENT_CA; or listen on 127.0.0.1; or "
                + "set ALLOW_INSECURE=true if a firewall or a proxy keeps strangers out"
        )
    }

    private mutating func checkTLS() {
        let given: [(key: SettingKey, isSet: Bool)] = [
            (.tlsCertificate, draft.tlsCertificate != nil), (.tlsKey, draft.tlsKey != nil),
            (.tlsClientAuthority, draft.tlsClientAuthority != nil),
        ]
        if tls == nil {
            for (key, isSet) in given where isSet {
                problem(key, "has no effect alone: TLS needs both TLS_CERTIFICATE and TLS_KEY")
            }
            for address in draft.listen {
                guard case .tls = address else { continue }
                problem(.listen, "\(quoted(address.description)) needs TLS_CERTIFICATE and TLS_KEY")
            }
        } else if !draft.listen.contains(where: \.speaksTLS) {
            warnings.append(
                SettingsProblem(
                    origin: origins[.tlsCertificate],
                    key: SettingKey.tlsCertificate.rawValue,
                    "has no effect: no address in LISTEN is reached from other machines, or begins with tls:"
                )
            )
        }
        let plain = draft.listen.filter { !$0.isLoopback && !($0.speaksTLS && tls != nil) }
        if tokens != nil, let address = plain.first {
            warnings.append(
                SettingsProblem(
                    origin: origins[.listen],
                    key: SettingKey.listen.rawValue,
                    "tokens that come to \(quoted(address.description)) can be read on the way; TLS_CERTIFICATE and TLS_KEY "
                        + "prevent it"
                )
            )
        }
    }

    private mutating func checkRelations() {
        checkListening()
        checkTLS()
        if draft.postgresPoolMin > draft.postgresPoolMax {
            let isMaxGiven = origins[.postgresPoolMax] != .standard
            problem(
                isMaxGiven ? .postgresPoolMax : .postgresPoolMin,
                "POSTGRES_POOL_MIN is \(draft.postgresPoolMin), more than POSTGRES_POOL_MAX, which is "
                    + "\(draft.postgresPoolMax)"
            )
        }
        if draft.httpBodyLimit > draft.memoryLimit, draft.memoryLimit > 0 {
            if origins[.httpBodyLimit] == .standard {
                // Who gives the daemon little memory need not know of this key.
                draft.httpBodyLimit = draft.memoryLimit / 2
            } else {
                problem(
                    .httpBodyLimit,
                    "is more than MEMORY_LIMIT, which is \(Value.text(byteCount: draft.memoryLimit))"
                )
            }
        }
        if (1..<100).contains(draft.batchSize) {
            warnings.append(
                SettingsProblem(
                    origin: origins[.batchSize],
                    key: SettingKey.batchSize.rawValue,
                    "\(draft.batchSize) makes many small transactions; 1000 is the default, and AGGREGATION_WINDOW is what "
                        + "bounds the wait"
                )
            )
        }
        if draft.postgresHost == nil {
            for key in SettingKey.allCases
            where key.definition.section == .postgres && key != .postgresHost && origins[key] != .standard {
                warnings.append(
                    SettingsProblem(
                        origin: origins[key],
                        key: key.rawValue,
                        "has no effect while POSTGRES_HOST is not set: patterns go to the embedded store"
                    )
                )
            }
        }
    }

    private mutating func problem(_ key: SettingKey, _ what: String) {
        errors.append(SettingsProblem(origin: origins[key], key: key.rawValue, what))
    }

    // MARK: Results

    private func accessSettings() -> AccessSettings {
        AccessSettings(tokens: tokens?.set, tokensFile: tokens?.file, hostNames: draft.hostNames)
    }

    private var tls: TLSSettings? {
        guard let certificate = draft.tlsCertificate, let key = draft.tlsKey else { return nil }
        return TLSSettings(certificate: certificate, key: key, clientAuthority: draft.tlsClientAuthority)
    }

    private func settings() -> Settings {
        Settings(
            listen: draft.listen,
            access: accessSettings(),
            tls: tls,
            journal: JournalSettings(
                reading: draft.journal,
                units: draft.journalUnits,
                severityMin: draft.journalPriority,
                lookback: .seconds(draft.journalLookback),
                wait: .seconds(draft.journalWait),
                directory: draft.journalDirectory
            ),
            runtimeDirectory: firstPath("RUNTIME_DIRECTORY"),
            stateDirectory: draft.stateDirectory,
            postgres: draft.postgresHost.map { host in
                DatabaseSettings(
                    host: host,
                    port: draft.postgresPort,
                    database: draft.postgresDatabase,
                    user: draft.postgresUser,
                    password: password?.secret,
                    passwordFile: password?.file,
                    sslMode: draft.postgresSSLMode,
                    poolMin: draft.postgresPoolMin,
                    poolMax: draft.postgresPoolMax
                )
            },
            analyticsNode: draft.analyticsNode,
            aggregationWindow: .seconds(draft.aggregationWindow),
            batchSize: draft.batchSize,
            memoryByteCountMax: draft.memoryLimit,
            spoolByteCountMax: draft.spoolLimit,
            durableLevel: draft.durableLevel,
            sourceLimit: draft.rateLimit == 0
                ? nil : RateLimit(perSecond: draft.rateLimit, burst: draft.rateBurst),
            patternCountMax: draft.maxPatterns,
            logLevel: draft.logLevel,
            logFormat: draft.logFormat,
            placeholderStyle: draft.placeholderStyle,
            redaction: draft.redaction,
            retentionDayCount: draft.retentionDays,
            storeByteCountMax: draft.storeLimit,
            httpBodyByteCountMax: draft.httpBodyLimit,
            isInsecureAllowed: draft.allowInsecure
        )
    }

    private func values() -> [LoadedSettings.Value] {
        var shown = draft
        shown.postgresPassword = password?.secret ?? draft.postgresPassword
        return SettingDefinition.table.map { definition in
            LoadedSettings.Value(
                key: definition.key,
                text: definition.show(shown),
                origin: origins[definition.key] ?? .standard
            )
        }
    }
}
