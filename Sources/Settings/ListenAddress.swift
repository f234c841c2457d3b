import Glibc

/// One address `logboomd` listens on.
package enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// `host` is an address, without brackets, or a name; port 0 lets the system choose one.
    case tcp(host: String, port: Int)
    /// The same with TLS in any case; without it, a port speaks TLS when other machines reach it and there is a certificate.
    case tls(host: String, port: Int)
    /// An absolute path of at most 107 bytes.
    case unix(path: String)

    /// The length of `sun_path` without its closing NUL (unix(7)).
    package static let pathByteCountMax = 107
    /// How many addresses `LISTEN` may name: each costs a descriptor and a channel for good.
    package static let countMax = 16

    /// As `LISTEN` spells it.
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .tls(let host, let port): "tls:\(ListenAddress.tcp(host: host, port: port))"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Whether only programs on this machine can reach it: a unix socket, 127.0.0.0/8, ::1 or `localhost`. Any other name is
    /// not taken for loopback, whatever it resolves to today.
    package var isLoopback: Bool {
        switch self {
        case .unix: return true
        case .tcp(let host, _), .tls(let host, _):
            if host == "localhost" { return true }
            if let bytes = Self.addressBytes(host, family: AF_INET) { return bytes[0] == 127 }
            if let bytes = Self.addressBytes(host, family: AF_INET6) {
                return bytes == [UInt8](repeating: 0, count: 15) + [1]
            }
            return false
        }
    }

    /// `nil` for a unix socket.
    package var port: Int? {
        switch self {
        case .tcp(_, let port), .tls(_, let port): port
        case .unix: nil
        }
    }

    /// `nil` for a unix socket.
    private var host: String? {
        switch self {
        case .tcp(let host, _), .tls(let host, _): host
        case .unix: nil
        }
    }

    /// Whether it speaks TLS where there is a certificate.
    package var speaksTLS: Bool {
        switch self {
        case .tcp: !isLoopback
        case .tls: true
        case .unix: false
        }
    }

    /// Whether a socket that listens on `other`, an address or a path, is what this one asks for: `localhost` is either
    /// loopback address, and the spellings of one IPv6 address are the same. TLS is no property of a socket.
    package func isServed(by other: ListenAddress) -> Bool {
        if self == other { return true }
        guard case .tcp(let held, let heldPort) = other, heldPort == port, let host else { return false }
        if host == held { return true }
        if host == "localhost" { return held == "127.0.0.1" || held == "::1" }
        let bytes = Self.addressBytes(host, family: AF_INET6)
        return bytes != nil && bytes == Self.addressBytes(held, family: AF_INET6)
    }

    init(_ text: String) throws(ValueProblem) {
        if text.hasPrefix("tls:") {
            guard case .tcp(let host, let port) = try ListenAddress(String(text.dropFirst(4))) else {
                throw ValueProblem("\(quoted(text)) has no host:port after \"tls:\"")
            }
            self = .tls(host: host, port: port)
            return
        }
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard path.hasPrefix("/") else {
                throw ValueProblem("\(quoted(text)) needs an absolute path after \"unix:\"")
            }
            guard path.utf8.count <= Self.pathByteCountMax else {
                throw ValueProblem(
                    "\(quoted(text)) has a path of \(path.utf8.count) bytes; a unix socket's has at most \(Self.pathByteCountMax)"
                )
            }
            guard !path.hasSuffix("/") else { throw ValueProblem("\(quoted(text)) names a folder, not a socket") }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":") else {
            throw ValueProblem("\(quoted(text)) has no port; write host:port, as in 127.0.0.1:8004")
        }
        var host = String(text[..<colon])
        guard let port = Int(decimal: text[text.index(after: colon)...]), (0...65_535).contains(port) else {
            throw ValueProblem("\(quoted(text)) has no port from 0 to 65535 after its last colon")
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard Self.addressBytes(host, family: AF_INET6) != nil else {
                throw ValueProblem("\(quoted(text)) has no IPv6 address in its brackets")
            }
        } else if host.contains(":") {
            throw ValueProblem("\(quoted(text)) is ambiguous; write an IPv6 address in brackets, as in [::1]:8004")
        } else {
            guard !host.isEmpty, host != "*" else {
                throw ValueProblem(
                    "\(quoted(text)) names no host; for every address write 0.0.0.0:\(port) or [::]:\(port)"
                )
            }
            try HostName.check(host)
        }
        self = .tcp(host: host, port: port)
    }

    /// Whether `text` is a numeric IPv6 address, without brackets.
    static func isIPv6(_ text: String) -> Bool {
        addressBytes(text, family: AF_INET6) != nil
    }

    /// The bytes of a numeric address, in network order; `nil` when `text` is none of this family.
    static func addressBytes(_ text: String, family: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(family, text, &bytes) == 1 else { return nil }
        return family == AF_INET ? Array(bytes[..<4]) : bytes
    }
}

/// The shape of host names.
enum HostName {
    /// Accepts what a resolver may know: letters, digits, `-`, `_`, `.`, at most 253 bytes (RFC 1035, 2.3.4), and IPv4
    /// addresses. A name of digits and dots only must be an address, so that `127.0.0` is not looked up.
    static func check(_ host: String) throws(ValueProblem) {
        let legal = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard legal, (1...253).contains(host.utf8.count), !host.hasPrefix("-"), !host.hasPrefix(".") else {
            throw ValueProblem("\(quoted(host)) is neither a host name nor an address")
        }
        let onlyDigits = host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (0x30...0x39).contains($0) }
        if onlyDigits, ListenAddress.addressBytes(host, family: AF_INET) == nil {
            throw ValueProblem("\(quoted(host)) is not an IPv4 address")
        }
    }
}
