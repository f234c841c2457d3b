/// Says where a text stops being JSON (RFC 8259) and why. Never holds a part of the text.
public struct JSONSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Bytes from the start of the text that was handed over; the length of the text when it ends too early.
    public let offset: Int
    /// A sentence part such as `expected a colon`; safe to show to the sender.
    public let reason: StaticString

    /// - Parameter offset: in bytes from the start of the text.
    @inlinable
    public init(offset: Int, reason: StaticString) {
        self.offset = offset
        self.reason = reason
    }

    /// The sentence for a log or an answer.
    public var description: String {
        "read JSON: \(reason) at byte \(offset)"
    }

    /// Equal when the offset and the words of the reason are.
    public static func == (left: JSONSyntaxError, right: JSONSyntaxError) -> Bool {
        left.offset == right.offset && left.reason.description == right.reason.description
    }
}
