/// A run of bytes that belongs to somebody else: valid only during the call that handed it over.
public typealias ByteView = UnsafeBufferPointer<UInt8>

/// One accepted message on its way into the open batch, as a decoder sees it: views into the sender's bytes, no copies.
///
/// Valid only during the call that receives it. Text is untrusted: it may be invalid UTF-8 and may hold NUL; whoever
/// stores it repairs it first (``UTF8Repair``). An empty view means that the sender did not say.
public struct LogRecord {
    public var message: ByteView
    /// Stated by the sender; `nil` leaves it to the text, then to ``Severity/info``.
    public var severity: Severity?
    /// The application or service, e.g. `node-red`.
    public var source: ByteView
    public var host: ByteView
    /// The organisation a record belongs to (`org` on the wire).
    public var tenant: ByteView
    public var dashboard: ByteView
    /// When the sender says it happened; `nil` means now.
    public var timestamp: Timestamp?
    public var latencyMilliseconds: Double?
    public var attributes: UnsafeBufferPointer<AttributeView>

    public init(message: ByteView) {
        self.message = message
        severity = nil
        source = ByteView(start: nil, count: 0)
        host = source
        tenant = source
        dashboard = source
        timestamp = nil
        latencyMilliseconds = nil
        attributes = UnsafeBufferPointer(start: nil, count: 0)
    }
}

/// One key and value beside a record's message. Nested objects arrive flattened, their keys joined by dots; the value is
/// its text (a string's content unescaped, anything else as it stood in the JSON).
public struct AttributeView {
    public var key: ByteView
    public var value: ByteView

    public init(key: ByteView, value: ByteView) {
        self.key = key
        self.value = value
    }
}
