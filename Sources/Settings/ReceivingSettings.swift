internal import LogModel

extension SettingDefinition {
    /// The rows on where records come in, and from whom.
    static let receiving = [
        SettingDefinition(
            key: .listen,
            section: .receiving,
            standard: .derived(shown: "127.0.0.1:8004"),
            explanation:
                "Where logs are received; by default also the unix socket /run/logboom/logboom.sock where it can be made.",
            allowed: "host:port, [IPv6]:port, tls:host:port and unix:/PATH, up to 16, with commas between them",
            read: { (draft, text) throws(ValueProblem) in
                var addresses: [ListenAddress] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    let word = part.trimmed
                    guard !word.isEmpty else { throw ValueProblem("an address is missing beside a comma") }
                    let address = try ListenAddress(word)
                    // Port 0 may repeat: each asks for a free port of its own.
                    if address.port == 0 {
                        addresses.append(address)
                        continue
                    }
                    guard !addresses.contains(address) else { throw ValueProblem("\(quoted(word)) is there twice") }
                    addresses.append(address)
                }
                guard addresses.count <= ListenAddress.countMax else {
                    throw ValueProblem("\(addresses.count) addresses are too many")
                }
                draft.listen = addresses
            },
            show: { $0.listen.map(\.description).joined(separator: ",") }
        ),
        SettingDefinition(
            key: .allowInsecure,
            section: .receiving,
            standard: .text("false"),
            explanation:
                "Whether LISTEN may name addresses that other machines reach with nothing to say who may send.",
            allowed: "true or false",
            read: { (draft, text) throws(ValueProblem) in draft.allowInsecure = try Value.flag(text) },
            show: { String($0.allowInsecure) }
        ),
        SettingDefinition(
            key: .hostNames,
            section: .receiving,
            standard: .unset,
            explanation:
                "Names of this machine beside localhost; without tokens, loopback refuses other names in Host.",
            allowed: "up to 16 host names with commas between them",
            read: { (draft, text) throws(ValueProblem) in
                var names: [String] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    let name = part.trimmed.lowercased()
                    guard !name.isEmpty else { throw ValueProblem("a name is missing beside a comma") }
                    try HostName.check(name)
                    names.append(name)
                }
                guard names.count <= ListenAddress.countMax else {
                    throw ValueProblem("\(names.count) names are too many")
                }
                draft.hostNames = names
            },
            show: { $0.hostNames.joined(separator: ",") },
            reload: { $0.access.hostNames = $1.access.hostNames }
        ),
        SettingDefinition(
            key: .tokensFile,
            section: .receiving,
            standard: .unset,
            explanation:
                "The file of \"logboom token\"; with it, or with a systemd credential \"tokens\", ports ask for a token.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.tokensFile = try Value.absolutePath(text) },
            show: { $0.tokensFile ?? "" },
            reload: { running, new in
                running.access.tokens = new.access.tokens
                running.access.tokensFile = new.access.tokensFile
            }
        ),
        SettingDefinition(
            key: .tlsCertificate,
            section: .receiving,
            standard: .unset,
            explanation:
                "The certificate chain, in PEM; with it, ports that other machines reach, and tls: ones, speak TLS.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.tlsCertificate = try Value.absolutePath(text) },
            show: { $0.tlsCertificate ?? "" }
        ),
        SettingDefinition(
            key: .tlsKey,
            section: .receiving,
            standard: .unset,
            explanation: "The private key of the certificate, in PEM and without a passphrase.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.tlsKey = try Value.absolutePath(text) },
            show: { $0.tlsKey ?? "" }
        ),
        SettingDefinition(
            key: .tlsClientAuthority,
            section: .receiving,
            standard: .unset,
            explanation: "Certificates, in PEM, one of which must vouch for a client's own; unset, clients need none.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in
                draft.tlsClientAuthority = try Value.absolutePath(text)
            },
            show: { $0.tlsClientAuthority ?? "" }
        ),
        SettingDefinition(
            key: .httpBodyLimit,
            section: .receiving,
            standard: .text("8M"),
            explanation:
                "The largest request body, in bytes (K, M and G are powers of 1024); a larger one is answered 413.",
            allowed: "1K to 16M, and at most MEMORY_LIMIT",
            read: { (draft, text) throws(ValueProblem) in
                draft.httpBodyLimit = try Value.byteCount(text, in: Bounds.httpBodyLimit)
            },
            show: { Value.text(byteCount: $0.httpBodyLimit) }
        ),
    ]
}
