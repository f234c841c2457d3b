import HTTPWire

/// A request as the reader read it, copied out.
struct ReadRequest: Equatable, CustomStringConvertible {
    struct Field: Equatable {
        var name: String
        var value: String
    }

    var method: RequestHead.Method
    var path: String
    var query: String?
    var fields: [Field]
    var isVersion10: Bool
    var isKeptAlive: Bool
    var expectsContinue: Bool
    var body: [UInt8]

    var description: String {
        "\(method.name) \(path) ? \(query ?? "-") \(fields.map { "\($0.name)=\($0.value)" }) alive \(isKeptAlive), "
            + "body \(String(decoding: body, as: UTF8.self).debugDescription)"
    }
}

/// All that came of a connection's bytes.
struct Reading: Equatable {
    enum End: Equatable {
        /// Every byte was used.
        case clean
        /// In the middle of a request; whether its head was there.
        case cut(hasHead: Bool)
        case refused(RequestFault)
    }

    var requests: [ReadRequest] = []
    var end = End.clean
    /// The most bytes that had to be kept between two reads.
    var keptByteCountMax = 0

    static func == (left: Reading, right: Reading) -> Bool {
        left.requests == right.requests && left.end == right.end
    }
}

/// What readers know of heads that others read, and how often that was of use.
final class KnownHeads {
    var head = KnownHead()
    var useCount = 0
    var keepCount = 0
}

/// Reads the pieces as a connection would: each is appended to what was not used before.
///
/// - Parameter known: looked at before each request, and kept in after each head.
func read(
    _ pieces: [[UInt8]],
    _ bounds: RequestBounds = RequestBounds(bodyByteCountMax: 1 << 20),
    known: KnownHeads? = nil
) -> Reading {
    var reading = Reading()
    var reader = RequestReader(bounds: bounds)
    var unread: [UInt8] = []
    for piece in pieces {
        unread += piece
        steps: while !unread.isEmpty {
            if let known, !reader.hasHead, unread.withUnsafeBytes({ reader.readHead(as: &known.head, $0) }) {
                known.useCount += 1
            }
            var step = unread.withUnsafeBytes { reader.read($0) }
            if step == .chunks {
                let (next, spare) = unread.withUnsafeMutableBytes { reader.readChunks($0) }
                unread.removeLast(spare)
                step = next
            }
            switch step {
            case .head:
                guard let known else { continue }
                if unread.withUnsafeBytes({ reader.keepHead(in: &known.head, $0) }) { known.keepCount += 1 }
            case .more, .chunks: break steps
            case .request:
                reading.requests.append(request(reader, unread))
                unread.removeFirst(reader.byteCount)
                reader.next()
            case .refused(let fault):
                reading.end = .refused(fault)
                return reading
            }
        }
        reading.keptByteCountMax = max(reading.keptByteCountMax, unread.count)
    }
    reading.end = unread.isEmpty ? .clean : .cut(hasHead: reader.hasHead)
    return reading
}

func read(_ text: String, _ bounds: RequestBounds = RequestBounds(bodyByteCountMax: 1 << 20)) -> Reading {
    read([Array(text.utf8)], bounds)
}

private func request(_ reader: RequestReader, _ bytes: [UInt8]) -> ReadRequest {
    let head = reader.head
    func text(_ place: RequestHead.Place) -> String { String(decoding: bytes[place.range], as: UTF8.self) }
    var fields: [ReadRequest.Field] = []
    bytes.withUnsafeBytes { raw in
        head.forEachField(in: raw) { name, value in fields.append(.init(name: text(name), value: text(value))) }
    }
    return ReadRequest(
        method: head.method,
        path: text(head.path),
        query: head.query.isAbsent ? nil : text(head.query),
        fields: fields,
        isVersion10: head.isVersion10,
        isKeptAlive: head.isKeptAlive,
        expectsContinue: head.expectsContinue,
        body: Array(bytes[reader.body])
    )
}

/// A request with these lines behind its first one.
func post(_ lines: String..., body: String = "") -> String {
    (["POST /ingest HTTP/1.1", "Host: a"] + lines + ["", body]).joined(separator: "\r\n")
}

extension Reading {
    /// The one request that was read, when that was all.
    var only: ReadRequest? { requests.count == 1 && end == .clean ? requests[0] : nil }
    var fault: RequestFault? { if case .refused(let fault) = end { fault } else { nil } }
}
