import Admission
import ArgumentParser
import Hashing
import JSONBytes
import LogModel
import Settings

/// `logboom token`: who may send to `logboomd` and read from it.
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make, list and revoke the tokens that senders show.",
        discussion: """
            A token is 256 random bits. The file keeps its SHA-256, so a lost token is not found again: make a new one. Without \
            --file it is the file that TOKENS_FILE names. After a change: systemctl reload logboomd.

            EXAMPLES
              logboom token new garage-pi --file /etc/logboom/tokens
              logboom token new kitchen --source node-red --rate 50 > kitchen.token
              logboom token new grafana --scope read
              logboom token list
              logboom token revoke garage-pi
            """,
        subcommands: [New.self, List.self, Revoke.self],
        defaultSubcommand: List.self
    )

    /// Where the tokens are.
    struct FileOption: ParsableArguments {
        @Option(help: ArgumentHelp("The tokens file; without it, the one that TOKENS_FILE names.", valueName: "file"))
        var file: String?
        @Option(
            help: ArgumentHelp(
                "Look for TOKENS_FILE in this file and its .d folder instead of \(SettingsSource.standardPath).",
                valueName: "file"
            )
        )
        var config: String?

        func find() throws(CommandFailure) -> TokenStore {
            if let file { return TokenStore(path: file) }
            let source = SettingsSource(configurationPath: config, environment: Output.environment)
            switch source.loadWithoutSecrets() {
            case .success(let loaded):
                if let path = loaded.settings.access.tokensFile { return TokenStore(path: path) }
                throw CommandFailure(
                    status: .misconfigured,
                    message: """
                        TOKENS_FILE is not set: name a file, as in --file /etc/logboom/tokens, and set TOKENS_FILE to it \
                        in \(SettingsSource.standardPath)
                        """
                )
            case .failure(let problems):
                let lines = problems.errors.map { DisplayText.clean($0.description) }.joined(separator: "\n")
                throw CommandFailure(
                    status: .misconfigured,
                    message: "the configuration does not say where the tokens are; --file FILE does\n\(lines)"
                )
            }
        }
    }

    struct New: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token, print it once, and add its hash to the file."
        )

        @Argument(help: "What to call it: letters, digits, points, hyphens, underscores.")
        var name: String
        @Option(
            name: .customLong("scope"),
            help: "What it is good for: ingest, read, or admin, which is all; may be repeated. (default: ingest)"
        )
        var scopes: [AccessScope] = []
        @Option(help: "The source that all records sent with it get, whatever they say.")
        var source: String?
        @Option(help: ArgumentHelp("Records a second, at most.", valueName: "number"))
        var rate: Int?
        @Option(
            help: ArgumentHelp("Records at once after a pause; without it ten seconds of --rate.", valueName: "number")
        )
        var burst: Int?
        @OptionGroup var place: FileOption

        func validate() throws {
            guard TokenFile.isName(name) else {
                throw ValidationError("a name has 1 to 64 letters, digits, points, hyphens and underscores")
            }
            guard source.map({ TokenFile.isSource($0) }) ?? true else {
                throw ValidationError("--source takes 1 to 255 bytes without blanks and control characters")
            }
            guard rate.map(RateLimit.perSecondBounds.contains) ?? true else {
                throw ValidationError("--rate is a number from 1 to \(RateLimit.perSecondBounds.upperBound)")
            }
            guard burst.map(RateLimit.burstBounds.contains) ?? true else {
                throw ValidationError("--burst is a number from 1 to \(RateLimit.burstBounds.upperBound)")
            }
            guard burst == nil || rate != nil else { throw ValidationError("--burst goes with --rate") }
        }

        func run() throws {
            try reporting {
                let store = try place.find()
                let text = TokenText.make()
                let token = AccessToken(
                    name: name,
                    digest: try TokenText.digest(text),
                    scopes: AccessScopes(scopes.isEmpty ? [.ingest] : scopes),
                    source: source,
                    rate: rate.map { RateLimit(perSecond: $0, burst: burst) }
                )
                try store.add(token)
                // Nothing else on standard output: it may go into a file that a program reads.
                Output.standard.write(text + "\n")
                Output.error.write(
                    """
                    This is the only time it is shown; \(DisplayText.clean(store.path)) keeps its hash. Senders add the header
                      Authorization: Bearer \(TokenText.prefix)...
                    To put it in force: systemctl reload logboomd

                    """
                )
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the tokens; never their text, which nobody has."
        )

        @Flag(help: "Print JSON.")
        var json = false
        @OptionGroup var place: FileOption

        func run() throws {
            try reporting {
                let tokens = try place.find().load().tokens
                if json {
                    Output.standard.writeJSON(TokenReport.json(tokens))
                } else if tokens.isEmpty {
                    Output.standard.write("There are no tokens.\n")
                } else {
                    let lines = TokenReport.lines(tokens, width: Output.standard.columnCount())
                    Output.standard.write(lines.joined(separator: "\n") + "\n")
                }
            }
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take tokens out of the file: after a reload nobody gets in with them."
        )

        @Argument(help: ArgumentHelp("What they are called.", valueName: "name"))
        var names: [String]
        @OptionGroup var place: FileOption

        func run() throws {
            try reporting {
                let store = try place.find()
                for name in names { try store.remove(name) }
                let what = names.count == 1 ? "1 token" : "\(names.count) tokens"
                Output.error.write("\(what) revoked. To put it in force: systemctl reload logboomd\n")
            }
        }
    }
}

extension AccessScope: ExpressibleByArgument {}

/// The text of tokens.
enum TokenText {
    /// Tells people, and programs that look for secrets in the wrong places, what it is.
    static let prefix = "lbt_"
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// 256 bits from the kernel (getrandom(2)) in base64url (RFC 4648, section 5), without padding: 43 characters.
    static func make() -> String {
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
        return prefix + base64url(bytes)
    }

    static func digest(_ text: String) throws(CommandFailure) -> TokenDigest {
        if let problem = SHA256.problem() {
            throw CommandFailure(status: .failed, message: "hash the token: libcrypto: \(problem)")
        }
        var text = text
        let hash = text.withUTF8 { SHA256.hash($0) }
        guard let digest = TokenDigest(bytes: hash) else { preconditionFailure("SHA-256 has 32 bytes") }
        return digest
    }

    static func base64url(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.append(alphabet[Int(bits >> UInt32(bitCount)) & 63])
            }
        }
        if bitCount > 0 { text.append(alphabet[Int(bits << UInt32(6 - bitCount)) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }
}

/// Tokens as they are shown.
enum TokenReport {
    static func lines(_ tokens: [AccessToken], width: Int?) -> [String] {
        let columns = [
            Table.Column(title: "NAME", widthMax: 64), Table.Column(title: "SCOPES", widthMax: nil),
            Table.Column(title: "SOURCE", widthMax: 40), Table.Column(title: "RATE", widthMax: nil),
            Table.Column(title: "BURST", widthMax: nil),
        ]
        let rows = tokens.map { token in
            [
                token.name, "\(token.scopes)", token.source ?? "-", token.rate.map { "\($0.perSecond)/s" } ?? "-",
                token.rate.map { "\($0.burst)" } ?? "-",
            ]
        }
        return Table(columns: columns, rows: rows).lines(width: width)
    }

    /// `{"tokens":[{"name","scopes","source","rate","burst"}]}`; what is not set is null.
    static func json(_ tokens: [AccessToken]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("tokens")
        writer.beginArray()
        for token in tokens {
            writer.beginObject()
            writer.key("name")
            writer.string(token.name)
            writer.key("scopes")
            writer.beginArray()
            for scope in AccessScope.allCases
            where "\(token.scopes)".split(separator: ",").contains(scope.rawValue[...]) {
                writer.string(scope.rawValue)
            }
            writer.endArray()
            writer.key("source")
            if let source = token.source { writer.string(source) } else { writer.null() }
            writer.key("rate")
            if let rate = token.rate { writer.integer(rate.perSecond) } else { writer.null() }
            writer.key("burst")
            if let rate = token.rate { writer.integer(rate.burst) } else { writer.null() }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
