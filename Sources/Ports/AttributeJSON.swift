package import JSONBytes
package import LogModel

extension JSONWriter {
    /// Writes one member of the object that is open, the key's summary as every sink and reader has it:
    /// `"key": {"values": {"value": count}, "other": n, "distinct": n, "min": x, "max": x}`, the last two when values were
    /// numbers.
    package mutating func member(_ attribute: AttributeSummaryView) {
        key(bytes: attribute.key)
        beginObject()
        key("values")
        beginObject()
        for (value, count) in attribute.values {
            key(bytes: value)
            integer(count)
        }
        endObject()
        key("other")
        integer(attribute.otherCount)
        key("distinct")
        integer(attribute.distinctCount)
        if let numbers = attribute.numbers {
            key("min")
            number(numbers.minimum)
            key("max")
            number(numbers.maximum)
        }
        endObject()
    }
}
