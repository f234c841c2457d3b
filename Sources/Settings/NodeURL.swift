import Glibc

/// Where the analytics node answers: `http://host[:port][/base]`.
package struct NodeURL: Sendable, Hashable, CustomStringConvertible {
    /// A name or an address, without brackets.
    package var host: String
    /// 80 when the URL names none (RFC 9110, 4.2.1).
    package var port: Int
    /// What every path starts with: empty, or `/base` without a slash at its end.
    package var basePath: String

    package var description: String {
        let shownHost = host.contains(":") ? "[\(host)]" : host
        return "http://\(shownHost):\(port)\(basePath)"
    }

    init(_ text: String) throws(ValueProblem) {
        let lower = text.lowercased()
        // The refusals come first and quote nothing: a URL may hold a password.
        if lower.hasPrefix("https://") {
            throw ValueProblem(
                "https is not supported yet; use http inside your own network, or http to a TLS tunnel on this machine"
            )
        }
        guard lower.hasPrefix("http://") else { throw ValueProblem("the URL does not start with http://") }
        let rest = text.dropFirst(7)
        guard !rest.contains("@") else { throw ValueProblem("a user name or password in the URL is not supported") }
        guard rest.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !rest.contains("?"), !rest.contains("#") else {
            throw ValueProblem("the URL holds a query, a fragment, blanks, or characters that are not ASCII")
        }
        guard text.utf8.count <= 2000 else { throw ValueProblem("the URL is longer than 2000 bytes") }
        let authority = rest.prefix { $0 != "/" }
        var path = String(rest.dropFirst(authority.count))
        while path.hasSuffix("/") { path.removeLast() }
        basePath = path

        var hostText = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else {
                throw ValueProblem("the URL's IPv6 address has no closing bracket")
            }
            hostText = authority[authority.index(after: authority.startIndex)..<close]
            let tail = authority[authority.index(after: close)...]
            guard tail.isEmpty || tail.hasPrefix(":"),
                ListenAddress.addressBytes(String(hostText), family: AF_INET6) != nil
            else { throw ValueProblem("the URL has no IPv6 address in its brackets") }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else {
            if let colon = authority.firstIndex(of: ":") {
                hostText = authority[..<colon]
                portText = authority[authority.index(after: colon)...]
            }
            guard !hostText.isEmpty else { throw ValueProblem("the URL names no host") }
            try HostName.check(String(hostText))
        }
        host = String(hostText)
        guard let portText else {
            port = 80
            return
        }
        guard let number = Int(decimal: portText), (1...65_535).contains(number) else {
            throw ValueProblem("the URL's port is not a number from 1 to 65535")
        }
        port = number
    }
}
