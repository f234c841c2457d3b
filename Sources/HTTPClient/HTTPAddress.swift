/// Where an HTTP server listens: `http://host:port/base` or `unix:/path/of/socket`. Holds no secret: an address with a user
/// name or password in it is refused.
package struct HTTPAddress: Sendable, Equatable, CustomStringConvertible {
    /// What the connection is made to.
    package enum Endpoint: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package var endpoint: Endpoint
    /// What every request path is appended to: empty, or begins with `/` and does not end with one.
    package var basePath: String

    /// A TCP endpoint, its parts already checked by the caller.
    package init(host: String, port: Int, basePath: String = "") {
        endpoint = .tcp(host: host, port: port)
        self.basePath = basePath
    }

    /// A unix socket.
    package init(unixSocketPath: String) {
        endpoint = .unix(path: unixSocketPath)
        basePath = ""
    }

    /// The longest path of a unix socket, in bytes: `sun_path` of unix(7) less its terminator.
    package static let unixPathByteCountMax = 107

    /// Reads `http://host[:port][/base]`, `http://[v6 address]…` or `unix:/path`. The port is 80 when it is not given.
    ///
    /// - Throws: what is wrong, in words that never repeat the text, because that may hold a password.
    package init(url: String) throws(HTTPAddressError) {
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .invalidCharacter }
        guard let colon = url.firstIndex(of: ":") else { throw .unknownScheme }
        let rest = url[url.index(after: colon)...]
        switch url[..<colon].lowercased() {
        case "unix": try self.init(unixText: rest)
        case "http": try self.init(httpText: rest)
        case "https": throw .encryptionUnsupported
        default: throw .unknownScheme
        }
    }

    private init(unixText text: Substring) throws(HTTPAddressError) {
        let path = text.hasPrefix("///") ? text.dropFirst(2) : text
        guard path.hasPrefix("/"), path.utf8.count > 1 else { throw .unixPathNotAbsolute }
        guard path.utf8.count <= Self.unixPathByteCountMax else { throw .unixPathTooLong }
        self.init(unixSocketPath: String(path))
    }

    private init(httpText text: Substring) throws(HTTPAddressError) {
        guard text.hasPrefix("//") else { throw .missingHost }
        let afterSlashes = text.dropFirst(2)
        let authorityEnd = afterSlashes.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? afterSlashes.endIndex
        let authority = afterSlashes[..<authorityEnd]
        let path = afterSlashes[authorityEnd...]
        guard !authority.contains("@") else { throw .containsCredentials }
        guard !path.contains("?"), !path.contains("#") else { throw .containsQuery }

        let host: Substring
        let portText: Substring?
        if authority.hasPrefix("[") {
            guard let bracket = authority.firstIndex(of: "]") else { throw .missingHost }
            host = authority[authority.index(after: authority.startIndex)..<bracket]
            let tail = authority[authority.index(after: bracket)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw .invalidPort }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        } else {
            host = authority
            portText = nil
        }
        // 253 bytes is the longest name DNS can carry (RFC 1035, section 2.3.4, as text).
        guard !host.isEmpty, host.utf8.count <= 253 else { throw .missingHost }
        var port = 80
        if let portText {
            guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(portText),
                (1...65535).contains(number)
            else { throw .invalidPort }
            port = number
        }
        endpoint = .tcp(host: String(host), port: port)
        var base = path
        while base.hasSuffix("/") { base = base.dropLast() }
        basePath = String(base)
    }

    /// The value of the `Host` header (RFC 9110, section 7.2); `localhost` for a unix socket, as curl does.
    package var hostHeader: String {
        switch endpoint {
        case .tcp(let host, let port):
            let name = host.contains(":") ? "[\(host)]" : host
            return port == 80 ? name : "\(name):\(port)"
        case .unix: return "localhost"
        }
    }

    /// The endpoint in words for messages, without the base path.
    package var description: String {
        switch endpoint {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// Why a text is not an address this client can use.
package enum HTTPAddressError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalidCharacter
    case unknownScheme
    case encryptionUnsupported
    case missingHost
    case invalidPort
    case containsCredentials
    case containsQuery
    case unixPathNotAbsolute
    case unixPathTooLong

    /// Never repeats the text, which may hold a password.
    package var description: String {
        switch self {
        case .invalidCharacter: "an address holds no blanks, control characters or letters beyond ASCII"
        case .unknownScheme: "an address begins with http:// or unix:/"
        case .encryptionUnsupported:
            "https is not spoken here: use http:// to a proxy or tunnel on this machine that does TLS"
        case .missingHost: "an address names a host: http://host:port"
        case .invalidPort: "the port is a number from 1 to 65535"
        case .containsCredentials: "an address carries no user name or password"
        case .containsQuery: "an address carries no ? or #"
        case .unixPathNotAbsolute: "a unix socket's address is unix: and an absolute path"
        case .unixPathTooLong: "a unix socket's path has at most \(HTTPAddress.unixPathByteCountMax) bytes"
        }
    }
}
