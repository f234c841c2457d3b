package import LogModel

/// What a request wants to do, and what a token is good for.
package enum AccessScope: String, Sendable, CaseIterable {
    /// Send records.
    case ingest
    /// See patterns, the tail, figures and health.
    case read
    /// All of it, and what changes the daemon's state: flush, dead letters.
    case admin
}

/// A set of scopes. ``AccessScope/admin`` holds the other two.
package struct AccessScopes: Sendable, Equatable, CustomStringConvertible {
    private var bits: UInt8 = 0

    package init(_ scopes: [AccessScope]) {
        for scope in scopes { bits |= Self.bit(scope) }
    }

    package static let all = AccessScopes([.admin])

    package var isEmpty: Bool { bits == 0 }

    package func allows(_ scope: AccessScope) -> Bool {
        bits & (Self.bit(scope) | Self.bit(.admin)) != 0
    }

    /// As the tokens file spells it: `ingest,read`.
    package var description: String {
        AccessScope.allCases.filter { bits & Self.bit($0) != 0 }.map(\.rawValue).joined(separator: ",")
    }

    private static func bit(_ scope: AccessScope) -> UInt8 {
        switch scope {
        case .ingest: 1
        case .read: 2
        case .admin: 4
        }
    }
}

/// One line of the tokens file: who somebody is, and what they may do. Holds the hash of the token, never the token.
package struct AccessToken: Sendable, Equatable {
    /// What the log and `logboom token list` call it.
    package var name: String
    package var digest: TokenDigest
    package var scopes: AccessScopes
    /// The source that every record sent with it gets, whatever it says of itself; `nil` leaves records as they are.
    package var source: String?
    /// How many records may come in with it; `nil`: as many as there is room for.
    package var rate: RateLimit?

    package init(
        name: String,
        digest: TokenDigest,
        scopes: AccessScopes,
        source: String? = nil,
        rate: RateLimit? = nil
    ) {
        self.name = name
        self.digest = digest
        self.scopes = scopes
        self.source = source
        self.rate = rate
    }
}

/// All tokens there are, at most ``countMax``.
package struct TokenSet: Sendable, Equatable {
    /// Each request is compared with all of them, four words each: at most some thousand instructions. A fleet larger than
    /// this shares tokens, or has client certificates.
    package static let countMax = 256
    /// Of what is sent in the place of a token; ours have 47.
    package static let tokenByteCountMax = 256

    /// In the order of the file; no two have a name or a hash in common.
    package let tokens: [AccessToken]

    package init(_ tokens: [AccessToken]) {
        self.tokens = tokens
    }

    /// The place of the token with this hash. Looks at every one, so the time tells neither which it is nor how near a miss
    /// was.
    package func place(of digest: TokenDigest) -> Int? {
        var found: Int?
        for place in tokens.indices where tokens[place].digest == digest { found = place }
        return found
    }
}
