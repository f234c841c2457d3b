/// A JSON document as a tree, for the command line, answers of other programs and tests. Never on the path of records:
/// every node allocates. The order of an object's members is kept, and so are repeated keys.
public indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number written without fraction or exponent that fits.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// One key and its value.
    public struct Member: Sendable, Equatable {
        public var key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// Nodes in one tree unless the caller says otherwise: about 100 MB at worst.
    public static let nodeCountMax = 1_000_000

    /// The tree of `bytes`, which must be one value with only blanks around it, ``JSONCursor/depthMax`` deep at most.
    ///
    /// - Parameter nodeCountMax: values in all; more throws, so that a hostile text cannot take all memory.
    public static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>,
        nodeCountMax: Int = nodeCountMax
    ) throws(JSONSyntaxError) -> JSONValue {
        var cursor = JSONCursor(bytes)
        var nodesLeft = nodeCountMax
        let value = try read(&cursor, &nodesLeft)
        try cursor.finish()
        return value
    }

    /// The same from an array.
    public static func parse(
        _ bytes: [UInt8],
        nodeCountMax: Int = nodeCountMax
    ) throws(JSONSyntaxError) -> JSONValue {
        let result = bytes.withUnsafeBufferPointer { view -> Result<JSONValue, JSONSyntaxError> in
            do throws(JSONSyntaxError) {
                return .success(try parse(view, nodeCountMax: nodeCountMax))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // Recursion is bounded by the cursor's depth limit.
    private static func read(_ cursor: inout JSONCursor, _ nodesLeft: inout Int) throws(JSONSyntaxError) -> JSONValue {
        guard nodesLeft > 0 else { throw JSONSyntaxError(offset: cursor.offset, reason: "too many values") }
        nodesLeft -= 1
        switch cursor.peek() {
        case .object:
            var members: [Member] = []
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                members.append(Member(key: JSONText.string(key), value: try read(&cursor, &nodesLeft)))
            }
            return .object(members)
        case .array:
            var elements: [JSONValue] = []
            try cursor.enterArray()
            while try cursor.nextElement() {
                elements.append(try read(&cursor, &nodesLeft))
            }
            return .array(elements)
        case .string, .number, .bool, .null, nil:
            let offset = cursor.offset
            let item = try cursor.value()
            switch item.kind {
            case .string: return .string(JSONText.string(item))
            case .bool: return .bool(item.bytes.first == 0x74)
            case .null: return .null
            case .number, .object, .array: return try number(item.bytes, offset: offset)
            }
        }
    }

    private static func number(
        _ text: UnsafeBufferPointer<UInt8>,
        offset: Int
    ) throws(JSONSyntaxError) -> JSONValue {
        // "-0" is a double only.
        if let integer = Int(String(decoding: text, as: UTF8.self)), integer != 0 || text.first != 0x2D {
            return .integer(integer)
        }
        guard let double = JSONText.double(text) else {
            throw JSONSyntaxError(offset: offset, reason: "number out of range")
        }
        return .number(double)
    }

    /// Appends the tree to a writer.
    public func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .integer(let value): writer.integer(value)
        case .number(let value): writer.number(value)
        case .string(let value): writer.string(value)
        case .array(let elements):
            writer.beginArray()
            for element in elements { element.write(to: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for member in members {
                writer.key(text: member.key)
                member.value.write(to: &writer)
            }
            writer.endObject()
        }
    }

    /// The tree as bytes.
    public var bytes: [UInt8] {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// The value of the last member with this key; `nil` when there is none or this is no object.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.key == key }?.value
    }

    /// The element at this place; `nil` when there is none or this is no array.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    public var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// A whole number.
    public var integer: Int? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    /// Any number, as a double.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null, .bool, .string, .array, .object: nil
        }
    }

    public var array: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    public var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }
}
