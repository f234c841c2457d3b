internal import Foundation

/// An answer as a test looks at it. Read with Foundation, not with the project's own JSON, so that both cannot be wrong
/// in the same way.
package struct HTTPTestAnswer: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// The member at a path of names and array places, as in `errors.0.index`; `nil` when there is none.
    package subscript(path: String) -> Any? {
        var value = try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)
        for name in path.split(separator: ".") {
            switch value {
            case let object as [String: Any]: value = object[String(name)]
            case let array as [Any]:
                guard let place = Int(name), array.indices.contains(place) else { return nil }
                value = array[place]
            default: return nil
            }
        }
        return value
    }

    package func integer(_ path: String) -> Int? { self[path] as? Int }
    package func string(_ path: String) -> String? { self[path] as? String }
    package func flag(_ path: String) -> Bool? { self[path] as? Bool }
    package func count(_ path: String) -> Int? { (self[path] as? [Any])?.count }
    /// Whether the body is one JSON document.
    package var isJSON: Bool {
        (try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)) != nil
    }
}

/// Where a server is.
package enum HTTPTestAddress: Sendable {
    /// On 127.0.0.1.
    case port(Int)
    case unix(path: String)
}

/// One connection that speaks just enough HTTP/1.1 for tests: requests one after the other, answers with a length.
/// Blocking; not for more than one thread at a time.
package final class HTTPTestConnection {
    private let descriptor: Int32
    private var unread: [UInt8] = []

    /// - Parameter limit: what one read or write may take.
    package init(_ address: HTTPTestAddress, limit: Duration = .seconds(15)) throws {
        let isUnix = if case .unix = address { true } else { false }
        descriptor = socket(isUnix ? AF_UNIX : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var patience = timeval(tv_sec: Int(limit / .seconds(1)), tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        guard Self.connect(descriptor, address) == 0 else {
            // Everything is set, so deinit runs, and closes.
            throw TestingError("connect to \(address): errno \(errno)")
        }
    }

    deinit {
        close(descriptor)
    }

    /// Sends one request and reads its answer. Throws when the connection ends before the answer is whole.
    package func send(
        _ method: String,
        _ path: String,
        _ body: [UInt8]? = nil,
        headers: [String: String] = [:]
    ) throws -> HTTPTestAnswer {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        try write(Array((head + "\r\n").utf8) + (body ?? []))
        return try readAnswer(hasBody: method != "HEAD")
    }

    /// Writes bytes as they are.
    package func write(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                Foundation.send(
                    descriptor,
                    UnsafeRawBufferPointer(rebasing: raw[sent...]).baseAddress,
                    bytes.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            // A server may answer and close before it has read a body that is too large: the answer is still to be read.
            guard count > 0 else { return }
            sent += count
        }
    }

    /// Closes this side: the other one reads an end and may still answer.
    package func closeOutput() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Has the connection end with a reset when it goes, as with a process that is killed with answers unread.
    package func resetAtEnd() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Reads a status of 1xx if that is what comes next; else `nil`, and what came is left for ``readAnswer(hasBody:)``.
    package func readInterim() throws -> Int? {
        while Self.find(Array("\r\n\r\n".utf8), in: unread, from: 0) == nil { try receive() }
        let status = Int(String(decoding: unread.dropFirst(9).prefix(3), as: UTF8.self)) ?? 0
        guard (100..<200).contains(status), let end = Self.find(Array("\r\n\r\n".utf8), in: unread, from: 0) else {
            return nil
        }
        unread.removeFirst(end + 4)
        return status
    }

    /// Reads one answer, `100 Continue` passed over.
    package func readAnswer(hasBody: Bool = true) throws -> HTTPTestAnswer {
        let ending = Array("\r\n\r\n".utf8)
        var searched = 0
        while true {
            if let end = Self.find(ending, in: unread, from: searched) {
                let head = String(decoding: unread[..<end], as: UTF8.self).components(separatedBy: "\r\n")
                unread.removeFirst(end + ending.count)
                searched = 0
                let words = head[0].split(separator: " ")
                guard words.count >= 2, let status = Int(words[1]) else { throw TestingError("answer: \(head[0])") }
                if status == 100 { continue }
                var headers: [String: String] = [:]
                for line in head.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = line[line.index(after: colon)...]
                        .trimmingCharacters(in: .whitespaces)
                }
                let count =
                    hasBody && status != 204 && status != 304 ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
                while unread.count < count { try receive() }
                defer { unread.removeFirst(count) }
                return HTTPTestAnswer(status: status, headers: headers, body: Array(unread[..<count]))
            }
            searched = max(0, unread.count - ending.count)
            try receive()
        }
    }

    private func receive() throws {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else {
            throw TestingError(count == 0 ? "the connection ended before its answer" : "read an answer: errno \(errno)")
        }
        unread += chunk[..<count]
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return (start...(bytes.count - needle.count)).first { bytes[$0...].starts(with: needle) }
    }

    private static func connect(_ descriptor: Int32, _ address: HTTPTestAddress) -> Int32 {
        switch address {
        case .port(let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }
}
