/// A head that was read before, with its bytes: a client's heads are alike but for the digits of `Content-Length`, so the next one
/// need only be compared with it.
///
/// Decides nothing by itself: equal bytes mean the same wherever they stand, and only the length is read anew. Kept are short heads
/// of the few fields that nearly every client sends (``FieldsSeen/isCommon``), without a query: how long a comparison takes must
/// tell a client nothing of what another one sent in confidence, such as a token. Takes ``byteCountMax`` bytes.
package struct KnownHead: Sendable {
    /// The heads of the clients tried (curl, Node.js, Python, Go, wrk) have 90 to 260 bytes.
    package static let byteCountMax = 384
    /// More digits than a body that is taken ever has; with these, a sum of them does not overflow.
    static let digitCountMax = 15

    private(set) var head = RequestHead()
    private var bytes: [UInt8] = []
    /// The digits of `Content-Length`; empty and at 0 when there is none.
    private var digits = RequestHead.Place()

    package init() {}

    mutating func keep(_ head: RequestHead, digits: RequestHead.Place, in request: UnsafeRawBufferPointer) {
        self.head = head
        self.digits = digits
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: request[..<head.byteCount])
    }

    /// The length of the body of a request that begins with this head; `nil` when it begins otherwise, or is not there so far.
    /// `mutating` only to be used in place.
    mutating func bodyByteCount(in request: UnsafeRawBufferPointer) -> Int? {
        let count = bytes.count
        guard count > 0, request.count >= count else { return nil }
        return bytes.withUnsafeBytes { known -> Int? in
            let digits = digits.range
            guard Self.areEqual(known, request, 0..<digits.lowerBound),
                Self.areEqual(known, request, digits.upperBound..<count)
            else { return nil }
            var length = 0
            for place in digits {
                let digit = request[place] &- UInt8(ascii: "0")
                guard digit < 10 else { return nil }
                length = length &* 10 &+ Int(digit)
            }
            return length
        }
    }

    /// Eight bytes at a time; the last ones once more where they are not eight.
    @inline(__always)
    private static func areEqual(
        _ left: UnsafeRawBufferPointer,
        _ right: UnsafeRawBufferPointer,
        _ places: Range<Int>
    ) -> Bool {
        func word(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt64 {
            bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        }
        guard places.count >= 8 else {
            for place in places where left[place] != right[place] { return false }
            return true
        }
        var place = places.lowerBound
        let last = places.upperBound - 8
        while place < last {
            guard word(left, place) == word(right, place) else { return false }
            place += 8
        }
        return word(left, last) == word(right, last)
    }
}

extension RequestReader {
    /// Reads the head of a request that has not been begun, when it is one that is known: as ``read(_:)`` would, which goes on behind it.
    /// False when it is another one, or is refused: then nothing has changed.
    ///
    /// - Parameter bytes: as for ``read(_:)``.
    package mutating func readHead(as known: inout KnownHead, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard isFresh, let length = known.bodyByteCount(in: bytes), length <= bounds.bodyByteCountMax else {
            return false
        }
        begin(known.head, bodyByteCount: length)
        return true
    }

    /// Keeps the head that was just read, if it is one that may be kept; true then.
    package func keepHead(in known: inout KnownHead, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let digits = commonLengthDigits, head.byteCount <= KnownHead.byteCountMax,
            digits.count <= KnownHead.digitCountMax
        else { return false }
        known.keep(head, digits: digits, in: bytes)
        return true
    }
}
