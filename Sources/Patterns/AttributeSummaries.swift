internal import LogModel

/// What the records of an open batch said beside their messages, per series: a few values of a few keys with their counts.
///
/// Owns the bytes it keeps. The first ``Limits/attributeValueCountMax`` values of a key are told apart and the rest counted as
/// other, with an estimate of how many there were, so a key that never repeats (a request id) costs the same as one that does. Bounded by the series it is asked for.
struct AttributeSummaries {
    private struct Slot {
        var keyHash: UInt64
        var keyStart: Int32
        var keyCount: Int32
        var next: Int32
        var otherCount = 0
        var valueCount = 0
        var firstValue: Int32
        var distinct = DistinctSketch()
        var numbers = NumberRange()
    }

    private struct Value {
        var hash: UInt64 = 0
        var start: Int32 = 0
        var byteCount: Int32 = 0
        var count = 0
    }

    private var slots: [Slot] = []
    private var values: [Value] = []
    private var bytes: [UInt8] = []

    var byteCount: Int {
        bytes.count + slots.count * MemoryLayout<Slot>.stride + values.count * MemoryLayout<Value>.stride
    }

    /// Adds one attribute to the list that begins at `head` (-1 when empty) and returns the list's head. Linear in the
    /// keys and values kept, which are at most 8 and 4.
    mutating func add(_ attribute: AttributeView, to head: Int32) -> Int32 {
        let keyHash = XXH64.hash(attribute.key)
        var index = head
        var length = 0
        while index >= 0, slots[Int(index)].keyHash != keyHash {
            index = slots[Int(index)].next
            length += 1
        }
        if index < 0 {
            guard length < Limits.attributeCountMax, attribute.key.count <= Limits.attributeKeyByteCountMax,
                !attribute.key.isEmpty
            else { return head }
            let start = bytes.count
            UTF8Repair.append(attribute.key, to: &bytes, byteCountMax: Limits.attributeKeyByteCountMax)
            slots.append(
                Slot(
                    keyHash: keyHash,
                    keyStart: Int32(start),
                    keyCount: Int32(bytes.count - start),
                    next: head,
                    firstValue: Int32(values.count)
                )
            )
            values.append(contentsOf: repeatElement(Value(), count: Limits.attributeValueCountMax))
            index = Int32(slots.count - 1)
            count(attribute.value, at: Int(index))
            return index
        }
        count(attribute.value, at: Int(index))
        return head
    }

    private mutating func count(_ value: ByteView, at slot: Int) {
        let hash = XXH64.hash(value)
        slots[slot].distinct.add(hash: hash)
        slots[slot].numbers.add(text: value)
        let first = Int(slots[slot].firstValue)
        for offset in 0..<slots[slot].valueCount where values[first + offset].hash == hash {
            values[first + offset].count += 1
            return
        }
        guard slots[slot].valueCount < Limits.attributeValueCountMax, value.count <= Limits.attributeValueByteCountMax
        else {
            slots[slot].otherCount += 1
            return
        }
        let start = bytes.count
        UTF8Repair.append(value, to: &bytes, byteCountMax: Limits.attributeValueByteCountMax)
        values[first + slots[slot].valueCount] = Value(
            hash: hash,
            start: Int32(start),
            byteCount: Int32(bytes.count - start),
            count: 1
        )
        slots[slot].valueCount += 1
    }

    /// Writes the list that begins at `head` in the batch format.
    func write(_ head: Int32, to writer: inout BatchWriter) {
        var length: UInt64 = 0
        var index = head
        while index >= 0 {
            length += 1
            index = slots[Int(index)].next
        }
        writer.append(length)
        bytes.withUnsafeBufferPointer { bytes in
            var index = head
            while index >= 0 {
                let slot = slots[Int(index)]
                let numbers = slot.numbers
                writer.beginAttribute(
                    key: view(bytes, slot.keyStart, slot.keyCount),
                    otherCount: slot.otherCount,
                    distinctCount: slot.otherCount == 0
                        ? slot.valueCount : max(slot.distinct.estimate, slot.valueCount + 1),
                    numbers: numbers.count == 0
                        ? nil
                        : AttributeNumbers(
                            count: numbers.count,
                            minimum: numbers.minimum,
                            maximum: numbers.maximum
                        ),
                    valueCount: slot.valueCount
                )
                for offset in 0..<slot.valueCount {
                    let value = values[Int(slot.firstValue) + offset]
                    writer.append(view(bytes, value.start, value.byteCount))
                    writer.append(UInt64(value.count))
                }
                index = slot.next
            }
        }
    }

    private func view(_ bytes: ByteView, _ start: Int32, _ count: Int32) -> ByteView {
        ByteView(rebasing: bytes[Int(start)..<Int(start) + Int(count)])
    }

    mutating func removeAll() {
        slots.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }
}
