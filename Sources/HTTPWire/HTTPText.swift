/// Bytes of a request, looked at without a copy. Valid as long as the bytes they are part of: during the call that gave them.
package struct HTTPText {
    package let bytes: UnsafeBufferPointer<UInt8>

    @inlinable
    package init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    @inlinable package var isEmpty: Bool { bytes.isEmpty }
    @inlinable package var count: Int { bytes.count }

    package func hasPrefix(_ prefix: StaticString) -> Bool {
        let count = prefix.utf8CodeUnitCount
        return bytes.count >= count && HTTPText(UnsafeBufferPointer(rebasing: bytes[..<count])) == prefix
    }

    /// What follows the first `count` bytes.
    package func dropFirst(_ count: Int) -> HTTPText {
        HTTPText(UnsafeBufferPointer(rebasing: bytes.dropFirst(count)))
    }

    /// Whether the two are the same but for the case of ASCII letters; `other` is in lower case.
    package func equals(lowercase other: StaticString) -> Bool {
        guard bytes.count == other.utf8CodeUnitCount else { return false }
        let wanted = other.utf8Start
        for (place, byte) in bytes.enumerated() where CharacterRules.lowercased(byte) != wanted[place] { return false }
        return true
    }

    package static func == (text: HTTPText, other: StaticString) -> Bool {
        guard text.bytes.count == other.utf8CodeUnitCount else { return false }
        let wanted = other.utf8Start
        for (place, byte) in text.bytes.enumerated() where byte != wanted[place] { return false }
        return true
    }

    /// So that a `switch` over paths reads like one over strings.
    package static func ~= (pattern: StaticString, text: HTTPText) -> Bool { text == pattern }
}

extension String {
    /// A copy, for what outlives the request. What is no UTF-8 is replaced.
    package init(_ text: HTTPText) {
        self.init(decoding: text.bytes, as: UTF8.self)
    }
}
