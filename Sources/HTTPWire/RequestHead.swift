/// What the first line and the fields of a request say, with places in place of texts: all are counted from the request's
/// first byte, wherever it lies. A value without references, so copying costs no counting.
package struct RequestHead: Sendable, Equatable {
    package enum Method: UInt8, Sendable {
        case get, head, post, delete
        /// Any other.
        case other

        /// As it stands in a request; empty for ``other``.
        package var name: StaticString {
            switch self {
            case .get: "GET"
            case .head: "HEAD"
            case .post: "POST"
            case .delete: "DELETE"
            case .other: ""
            }
        }
    }

    /// A part of the head; empty and at 0 when there is none.
    package struct Place: Sendable, Equatable {
        package var start: UInt32 = 0
        package var count: UInt32 = 0

        @inline(__always)
        init() {}

        @inline(__always)
        init(_ start: Int, _ end: Int) {
            self.start = UInt32(truncatingIfNeeded: start)
            count = UInt32(truncatingIfNeeded: end - start)
        }

        package var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
        package var isAbsent: Bool { start == 0 }
    }

    /// How the body's end is found (RFC 9112, 6.3).
    package enum Framing: Sendable, Equatable {
        case length(Int)
        case chunked
    }

    /// Fields that are looked at while the head is read. Each can have one value only.
    package enum Field: Sendable, CaseIterable {
        case host, contentType, contentEncoding, authorization, idempotencyKey, origin, fetchSite
    }

    package internal(set) var method = Method.other
    /// The target's path, as sent: nothing is unescaped.
    package internal(set) var path = Place()
    /// The target after `?`; absent when there is no mark.
    package internal(set) var query = Place()
    /// HTTP/1.0: without `Connection: keep-alive` the connection ends with the answer.
    package internal(set) var isVersion10 = false
    package internal(set) var framing = Framing.length(0)
    package internal(set) var isKeptAlive = true
    /// The sender waits for `100 Continue` before it sends the body.
    package internal(set) var expectsContinue = false
    /// First line, fields and the empty line, in bytes.
    package internal(set) var byteCount = 0
    /// Where the fields begin.
    var fieldStart = 0

    var host = Place()
    var contentType = Place()
    var contentEncoding = Place()
    var authorization = Place()
    var idempotencyKey = Place()
    var origin = Place()
    var fetchSite = Place()

    package init() {}

    package func place(of field: Field) -> Place {
        switch field {
        case .host: host
        case .contentType: contentType
        case .contentEncoding: contentEncoding
        case .authorization: authorization
        case .idempotencyKey: idempotencyKey
        case .origin: origin
        case .fetchSite: fetchSite
        }
    }

    /// The first field of that name, in any case; for those that few requests have. Walks the head.
    ///
    /// - Parameters:
    ///   - name: in lower case.
    ///   - head: the request's bytes from its first on.
    package func place(named name: StaticString, in head: UnsafeRawBufferPointer) -> Place? {
        var found: Place?
        forEachField(in: head) { fieldName, value in
            guard found == nil, fieldName.count == name.utf8CodeUnitCount else { return }
            let text = HTTPText(
                UnsafeRawBufferPointer(rebasing: head[fieldName.range]).assumingMemoryBound(to: UInt8.self)
            )
            if text.equals(lowercase: name) { found = value }
        }
        return found
    }

    /// Each field's name and value, in order. The head was read before, so its lines are well formed.
    package func forEachField(in head: UnsafeRawBufferPointer, _ body: (Place, Place) -> Void) {
        var place = fieldStart
        while place < byteCount - 2 {
            var colon = place
            while head[colon] != CharacterRules.colon { colon += 1 }
            var end = colon
            while head[end] != CharacterRules.carriageReturn { end += 1 }
            body(Place(place, colon), Self.trimmed(colon + 1, end, in: head))
            place = end + 2
        }
    }

    /// Without blanks at its ends.
    static func trimmed(_ start: Int, _ end: Int, in bytes: UnsafeRawBufferPointer) -> Place {
        var start = start
        var end = end
        while start < end, bytes[start] == CharacterRules.space || bytes[start] == CharacterRules.tab { start += 1 }
        while end > start, bytes[end - 1] == CharacterRules.space || bytes[end - 1] == CharacterRules.tab { end -= 1 }
        return Place(start, end)
    }
}
