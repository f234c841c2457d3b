/// Some of a batch's series and merges, by their places in it.
public struct BatchPart: Sendable, Equatable {
    /// From 0, in the order of ``BatchReader/forEachSeries(in:_:)``.
    public var series: [Int]
    /// From 0, in the order of ``BatchReader/merges(in:)``.
    public var merges: [Int]

    public init(series: [Int] = [], merges: [Int] = []) {
        self.series = series
        self.merges = merges
    }
}

extension Batch {
    /// This batch taken apart: for each of `parts` a batch of its own, and one of what is left, `nil` when nothing is.
    ///
    /// The record counts add up to this batch's. A place named by two parts belongs to the later one; places that the batch
    /// does not have are left out. What is left carries the old name although its bytes are others, which only a batch that
    /// was definitively not applied may do (docs/formats/delivery.md). Decodes twice and encodes once: linear in the payload.
    public func takingOut(_ parts: [BatchPart]) throws(BatchFormatError) -> (parts: [Batch], rest: Batch?) {
        var seriesOwners: [Int: Int] = [:]
        var mergeOwners: [Int: Int] = [:]
        for (owner, part) in parts.enumerated() {
            for place in part.series { seriesOwners[place] = owner }
            for place in part.merges { mergeOwners[place] = owner }
        }
        // The rest stands behind the parts.
        var shares = Array(repeating: Share(), count: parts.count + 1)
        for (place, merge) in try BatchReader.merges(in: self).enumerated() {
            shares[mergeOwners[place] ?? parts.count].merges.append(merge)
        }
        var place = 0
        try BatchReader.forEachSeries(in: self) { _, series in
            let owner = seriesOwners[place] ?? parts.count
            shares[owner].seriesCount += 1
            // Damaged counts may be as large as they like.
            let sum = shares[owner].recordCount.addingReportingOverflow(series.count)
            shares[owner].recordCount = sum.overflow ? .max : sum.partialValue
            place += 1
        }
        // Whatever the series say, what was counted when the batch was sealed is what the shares add up to.
        var leftCount = recordCount
        for part in parts.indices {
            shares[part].recordCount = min(shares[part].recordCount, leftCount)
            leftCount -= shares[part].recordCount
        }
        shares[parts.count].recordCount = leftCount

        var writers: [BatchWriter] = []
        let header = payload.withUnsafeBufferPointer { bytes in
            Result { () throws(BatchFormatError) in
                try BatchReader(bytes)
            }
        }
        let reader = try header.get()
        for share in shares {
            writers.append(
                BatchWriter(
                    windowStart: reader.windowStart,
                    windowEnd: reader.windowEnd,
                    clockIsKnown: reader.clockIsKnown,
                    recordCount: share.recordCount,
                    seriesCount: share.seriesCount,
                    merges: share.merges,
                    // By the series that were read: what a damaged batch says of their number may be anything.
                    byteCountEstimate: 64 + payload.count / max(1, place) * share.seriesCount
                )
            )
        }
        place = 0
        try BatchReader.forEachSeries(in: self) { _, series in
            writers[seriesOwners[place] ?? parts.count].copy(series)
            place += 1
        }
        var batches = zip(writers, shares).map { writer, share in
            Batch(payload: writer.bytes, recordCount: share.recordCount, seriesCount: share.seriesCount)
        }
        let rest = batches.removeLast()
        // What is left goes out in this batch's place.
        var left = rest
        left.position = position
        let isEmpty = rest.seriesCount == 0 && shares[parts.count].merges.isEmpty
        return (batches, isEmpty ? nil : left)
    }

    private struct Share {
        var recordCount = 0
        var seriesCount = 0
        var merges: [TemplateMerge] = []
    }
}

extension BatchWriter {
    /// Writes a series as it was read.
    fileprivate mutating func copy(_ series: SeriesView) {
        beginSeries(
            templateID: series.templateID,
            severity: series.severity,
            classification: series.classification,
            template: series.template,
            source: series.source,
            host: series.host,
            tenant: series.tenant,
            dashboard: series.dashboard,
            count: series.count,
            firstSeen: series.firstSeen,
            lastSeen: series.lastSeen,
            latency: series.latency
        )
        append(UInt64(series.samples.count))
        for sample in series.samples { append(sample) }
        append(UInt64(series.attributes.count))
        for attribute in series.attributes {
            beginAttribute(
                key: attribute.key,
                otherCount: attribute.otherCount,
                distinctCount: attribute.distinctCount,
                numbers: attribute.numbers,
                valueCount: attribute.values.count
            )
            for (value, count) in attribute.values {
                append(value)
                append(UInt64(count))
            }
        }
    }
}
