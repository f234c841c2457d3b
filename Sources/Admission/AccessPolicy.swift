package import LogModel

/// The way by which a request came in.
package enum AccessDoor: Sendable, Equatable, CaseIterable {
    /// A unix socket: the file system says who may open it.
    case socket
    /// A loopback port: every program of this machine, and with its help every page in its browsers.
    case loopback
    /// A port that other machines reach.
    case network
    /// TLS with a client certificate that was verified, on any port.
    case certified
}

/// What the head of a request says about who sends it. Views into the request's bytes; `nil` is a header that is not there.
package struct AccessHead {
    package var door: AccessDoor
    /// GET and HEAD: nothing changes by them.
    package var isSafe: Bool
    package var host: ByteView?
    package var origin: ByteView?
    /// `Sec-Fetch-Site` (W3C Fetch Metadata).
    package var fetchSite: ByteView?
    package var authorization: ByteView?

    package init(door: AccessDoor, isSafe: Bool) {
        self.door = door
        self.isSafe = isSafe
    }
}

/// Why a request is turned away. A closed set: it labels a metric.
package enum AccessDenial: String, Sendable, CaseIterable {
    /// No `Authorization: Bearer`, and one is needed.
    case tokenMissing = "token_missing"
    /// A token that is none of ours.
    case tokenUnknown = "token_unknown"
    /// A token that is not good for this.
    case scope
    /// A `Host` that is not this machine's: a page whose name was made to resolve to 127.0.0.1 (DNS rebinding).
    case host
    /// A browser sends it for a page of another site.
    case crossSite = "cross_site"
}

/// Who may do what. A pure value: the head of a request goes in, a decision comes out.
///
/// - Over a unix socket everything is open: the socket's mode and folder are the check.
/// - With tokens, every port asks for one; with client certificates and no tokens, a verified certificate is enough.
/// - With neither, a port is open to this machine's programs (``AccessDoor/loopback``), or to everybody where that was asked for
///   in writing (`ALLOW_INSECURE`). Browsers are kept out of both: they run code of strangers.
package struct AccessPolicy: Sendable, Equatable {
    package enum Decision: Sendable, Equatable {
        /// `token` is its place in ``AccessPolicy/tokens``; `nil` where none was needed.
        case allowed(token: Int?)
        case denied(AccessDenial)
    }

    /// `nil`: no tokens are configured. An empty set lets nobody in.
    package var tokens: TokenSet?
    /// By which this machine is called beside `localhost` and its addresses, in lower case.
    package var hostNames: [String]

    package init(tokens: TokenSet? = nil, hostNames: [String] = []) {
        self.tokens = tokens
        self.hostNames = hostNames.map { $0.lowercased() }
    }

    /// - Parameters:
    ///   - scope: what the request wants; `nil` for what everybody may have.
    ///   - digest: SHA-256. Called once for each token that is sent, known or not.
    package func decide(_ head: AccessHead, scope: AccessScope?, digest: (ByteView) -> TokenDigest?) -> Decision {
        guard let scope else { return .allowed(token: nil) }
        switch head.door {
        case .socket: return .allowed(token: nil)
        case .loopback, .network, .certified: break
        }
        guard let tokens else { return decideWithoutTokens(head) }
        guard let sent = head.authorization.flatMap(Self.bearer) else { return .denied(.tokenMissing) }
        guard sent.count <= TokenSet.tokenByteCountMax, let place = digest(sent).flatMap({ tokens.place(of: $0) })
        else { return .denied(.tokenUnknown) }
        return tokens.tokens[place].scopes.allows(scope) ? .allowed(token: place) : .denied(.scope)
    }

    /// A page of a stranger's site can have a browser on this machine send requests here, and a browser that has a client
    /// certificate show it. It cannot read the answers, unless its own name was made to lead here; and then that name is the
    /// `Host`.
    private func decideWithoutTokens(_ head: AccessHead) -> Decision {
        if head.door == .loopback, let host = head.host, !isOurs(host: host) { return .denied(.host) }
        guard !head.isSafe else { return .allowed(token: nil) }
        if let site = head.fetchSite, !Self.equals(site, "same-origin"), !Self.equals(site, "none") {
            return .denied(.crossSite)
        }
        if let origin = head.origin, !Self.isSameOrigin(origin, host: head.host) { return .denied(.crossSite) }
        return .allowed(token: nil)
    }

    /// What follows `Bearer` (RFC 6750, section 2.1; the scheme in any case, RFC 9110, section 11.1).
    static func bearer(_ authorization: ByteView) -> ByteView? {
        let scheme: StaticString = "bearer "
        let count = scheme.utf8CodeUnitCount
        guard authorization.count > count,
            equals(ByteView(rebasing: authorization[..<count]), scheme)
        else { return nil }
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        var token = authorization[count...]
        while let first = token.first, isBlank(first) { token = token.dropFirst() }
        while let last = token.last, isBlank(last) { token = token.dropLast() }
        return token.isEmpty ? nil : ByteView(rebasing: token)
    }

    /// Whether `Host` may name this machine: `localhost` and names below it (RFC 6761, section 6.3), a name that was configured,
    /// any address, or a name without a dot. An address in a page's URL is where the page came from: no name was made to lead
    /// here. And a stranger has no name without a dot: top-level domains have no addresses (RFC 7085), so such a name is one
    /// that this machine or its network gave.
    func isOurs(host: ByteView) -> Bool {
        let name = Self.withoutPort(host)
        if Self.isAddress(name) || Self.isDotless(name) || Self.hasSuffix(name, ".localhost") { return true }
        return hostNames.contains { candidate in
            var candidate = candidate
            return candidate.withUTF8 { Self.equals(name, $0) }
        }
    }

    private static func withoutPort(_ host: ByteView) -> ByteView {
        guard let colon = host.lastIndex(of: UInt8(ascii: ":")), host.last != UInt8(ascii: "]"),
            host[(colon + 1)...].allSatisfy({ (0x30...0x39).contains($0) })
        else { return host }
        return ByteView(rebasing: host[..<colon])
    }

    /// One label of letters, digits, hyphens and underscores.
    private static func isDotless(_ name: ByteView) -> Bool {
        !name.isEmpty
            && name.allSatisfy { byte in
                let isLetter = (0x61...0x7A).contains(lower(byte))
                return isLetter || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_")
            }
    }

    /// An IPv6 address in brackets, or what can be nothing but an IPv4 address: four numbers. A last label of digits is no name
    /// of the DNS (RFC 3696, section 2), so browsers take such a host for an address, too.
    private static func isAddress(_ name: ByteView) -> Bool {
        if name.first == UInt8(ascii: "["), name.last == UInt8(ascii: "]") {
            return name.dropFirst().dropLast().allSatisfy { byte in
                switch byte {
                case 0x30...0x3A, 0x41...0x46, 0x61...0x66, UInt8(ascii: "."): true
                default: false
                }
            }
        }
        var dotCount = 0
        var digitCount = 0
        for byte in name {
            switch byte {
            case 0x30...0x39 where digitCount < 3: digitCount += 1
            case UInt8(ascii: ".") where digitCount > 0:
                dotCount += 1
                digitCount = 0
            default: return false
            }
        }
        return dotCount == 3 && digitCount > 0
    }

    /// `scheme://host:port` against `Host`. The scheme is not compared: of one host and port only one is spoken.
    private static func isSameOrigin(_ origin: ByteView, host: ByteView?) -> Bool {
        guard let host else { return false }
        for scheme: StaticString in ["http://", "https://"] {
            let count = scheme.utf8CodeUnitCount
            if origin.count > count, equals(ByteView(rebasing: origin[..<count]), scheme) {
                return equals(ByteView(rebasing: origin[count...]), host)
            }
        }
        return false
    }

    private static func equals(_ bytes: ByteView, _ text: StaticString) -> Bool {
        equals(bytes, ByteView(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// ASCII letters in any case.
    private static func equals(_ left: ByteView, _ right: ByteView) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<left.count where lower(left[index]) != lower(right[index]) { return false }
        return true
    }

    private static func hasSuffix(_ bytes: ByteView, _ suffix: StaticString) -> Bool {
        let count = suffix.utf8CodeUnitCount
        return bytes.count > count && equals(ByteView(rebasing: bytes[(bytes.count - count)...]), suffix)
    }

    private static func lower(_ byte: UInt8) -> UInt8 {
        (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
    }
}
