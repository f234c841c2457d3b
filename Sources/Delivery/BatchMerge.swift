package import LogModel

/// How much of a batch is kept when it has to become smaller. Counts, first and last seen, level, origin and latency always are.
package enum BatchDetail: Int, Sendable, CaseIterable, Comparable {
    case all, withoutSamples, countsOnly

    package static func < (left: BatchDetail, right: BatchDetail) -> Bool { left.rawValue < right.rawValue }
}

/// Adds batches up into one: series of the same pattern, level and origin become one series with the sum of their counts.
///
/// Owns copies of the texts it keeps, so its memory is that of the result, whatever goes in. Linear in the series; some
/// allocations each, which is fine for what happens once a batch. Counts and stamps do not depend on the order in which batches
/// are added; samples and attribute values, which are a choice, do.
package struct BatchMerge {
    private struct Attribute {
        var key: [UInt8]
        var values: [(value: [UInt8], count: Int)]
        var otherCount: Int
        var distinctCount: Int
        var numbers: AttributeNumbers?
    }

    private struct Series {
        var templateID: UInt64
        var severity: Severity
        var classification: Classification
        var template: [UInt8]
        /// Source, host, tenant, dashboard.
        var names: InlineArray<4, [UInt8]>
        var count: Int
        var firstSeen: Timestamp
        var lastSeen: Timestamp
        var latency: LatencySummary?
        /// Oldest first.
        var samples: [[UInt8]]
        var attributes: [Attribute]

        /// As encoded, near enough.
        var byteCount: Int {
            var count = 48 + template.count
            for index in names.indices { count += names[index].count }
            for sample in samples { count += sample.count }
            for attribute in attributes {
                count += attribute.key.count + 24 + attribute.values.reduce(0) { $0 + $1.value.count + 4 }
            }
            return count
        }
    }

    private let detail: BatchDetail
    private let correction: ClockWatch.Correction?
    private var series: [Series] = []
    /// By ``key(_:)``.
    private var places: [[UInt8]: Int] = [:]
    private var templateMerges: [TemplateMerge] = []
    private var windowStart = Timestamp(nanoseconds: .max)
    private var windowEnd = Timestamp(nanoseconds: .min)
    private var clockIsKnown = true
    private var recordCount = 0
    /// Bytes of what was added so far, near enough: an upper bound for the result.
    package private(set) var byteCount = 0

    /// - Parameter correction: for batches whose clock was a guess.
    package init(keeping detail: BatchDetail = .all, correcting correction: ClockWatch.Correction? = nil) {
        self.detail = detail
        self.correction = correction
    }

    /// `batch` with its stamps put right; as it is when its clock was known, or when it is no batch.
    package static func corrected(_ batch: Batch, by correction: ClockWatch.Correction) -> Batch {
        let header = batch.payload.withUnsafeBufferPointer { try? BatchReader($0) }
        guard let header, !header.clockIsKnown else { return batch }
        var merge = BatchMerge(correcting: correction)
        do throws(BatchFormatError) { try merge.add(batch) } catch { return batch }
        var corrected = merge.result()
        corrected.position = batch.position
        return corrected
    }

    /// `batches`, oldest first, as one. Throws when one of them is no batch; nothing is lost then, as nothing was replaced.
    package static func merged(
        _ batches: [Batch],
        keeping detail: BatchDetail = .all
    ) throws(BatchFormatError) -> Batch {
        var merge = BatchMerge(keeping: detail)
        for batch in batches { try merge.add(batch) }
        return merge.result()
    }

    /// Adds one batch, younger than those before.
    package mutating func add(_ batch: Batch) throws(BatchFormatError) {
        for merge in try BatchReader.merges(in: batch) where !templateMerges.contains(merge) {
            // The newest word on a pattern holds.
            templateMerges.removeAll { $0.from == merge.from }
            templateMerges.append(merge)
        }
        var key: [UInt8] = []
        try BatchReader.forEachSeries(in: batch) { header, view in
            var view = view
            let isGuessed = !header.clockIsKnown
            if isGuessed, let correction { Self.correct(&view, in: header, by: correction.step) }
            let step = isGuessed ? correction?.step ?? .zero : .zero
            windowStart = min(windowStart, header.windowStart.advanced(by: step))
            windowEnd = max(windowEnd, header.windowEnd.advanced(by: step))
            clockIsKnown = clockIsKnown && (header.clockIsKnown || correction?.isKnown == true)
            Self.write(keyOf: view, to: &key)
            if let place = places[key] {
                add(view, to: place)
            } else {
                places[key] = series.count
                let entry = copy(view)
                byteCount += entry.byteCount
                series.append(entry)
            }
        }
        recordCount += batch.recordCount
    }

    /// What was added, as a batch.
    package consuming func result() -> Batch {
        var writer = BatchWriter(
            windowStart: windowStart,
            windowEnd: windowEnd,
            clockIsKnown: clockIsKnown,
            recordCount: recordCount,
            seriesCount: series.count,
            merges: templateMerges,
            byteCountEstimate: series.count * 256 + 64
        )
        for entry in series { Self.write(entry, to: &writer) }
        return Batch(payload: writer.bytes, recordCount: recordCount, seriesCount: series.count)
    }

    // MARK: Series

    /// Stamps within the window as its clock ran are moved with it. Others were stated by senders whose clocks were other ones.
    private static func correct(_ view: inout SeriesView, in header: BatchReader, by step: Duration) {
        let window = header.windowStart...max(header.windowStart, header.windowEnd)
        if window.contains(view.firstSeen) { view.firstSeen = view.firstSeen.advanced(by: step) }
        if window.contains(view.lastSeen) { view.lastSeen = view.lastSeen.advanced(by: step) }
        if view.lastSeen < view.firstSeen { swap(&view.firstSeen, &view.lastSeen) }
    }

    private static func write(keyOf view: SeriesView, to key: inout [UInt8]) {
        key.removeAll(keepingCapacity: true)
        withUnsafeBytes(of: view.templateID.littleEndian) { key.append(contentsOf: $0) }
        key.append(view.severity.rawValue)
        for name in [view.source, view.host, view.tenant, view.dashboard] {
            // The length before each name: no two sets of names give the same bytes.
            key.append(UInt8(truncatingIfNeeded: name.count))
            key.append(UInt8(truncatingIfNeeded: name.count >> 8))
            key.append(contentsOf: name)
        }
    }

    private func copy(_ view: SeriesView) -> Series {
        Series(
            templateID: view.templateID,
            severity: view.severity,
            classification: view.classification,
            template: Array(view.template),
            names: [Array(view.source), Array(view.host), Array(view.tenant), Array(view.dashboard)],
            count: view.count,
            firstSeen: view.firstSeen,
            lastSeen: view.lastSeen,
            latency: view.latency,
            samples: detail < .withoutSamples ? view.samples.map { Array($0) } : [],
            attributes: detail < .countsOnly ? view.attributes.map(Self.copy) : []
        )
    }

    private mutating func add(_ view: SeriesView, to place: Int) {
        series[place].classification = view.classification
        if detail < .withoutSamples {
            series[place].samples = Self.chosen(
                older: series[place].samples,
                olderCount: series[place].count,
                younger: view.samples,
                youngerCount: view.count,
                chance: view.templateID
            )
        }
        series[place].count += view.count
        series[place].firstSeen = min(series[place].firstSeen, view.firstSeen)
        series[place].lastSeen = max(series[place].lastSeen, view.lastSeen)
        if let latency = view.latency {
            series[place].latency = series[place].latency.map { Self.sum($0, latency) } ?? latency
        }
        if detail < .countsOnly {
            for attribute in view.attributes { Self.add(attribute, to: &series[place].attributes) }
        }
    }

    private static func sum(_ left: LatencySummary, _ right: LatencySummary) -> LatencySummary {
        LatencySummary(
            count: left.count + right.count,
            sum: left.sum + right.sum,
            minimum: min(left.minimum, right.minimum),
            maximum: max(left.maximum, right.maximum)
        )
    }

    /// The first of the older, the last of the younger, and between them one of the rest: from either side as likely as it has
    /// records. The draw is a hash, so that the same batches always give the same bytes.
    private static func chosen(
        older: [[UInt8]],
        olderCount: Int,
        younger: [ByteView],
        youngerCount: Int,
        chance: UInt64
    ) -> [[UInt8]] {
        let all = older + younger.map { Array($0) }
        guard all.count > Limits.sampleCountMax, let first = all.first, let last = all.last else {
            return distinct(all)
        }
        let draw = (chance ^ UInt64(truncatingIfNeeded: olderCount)) &* 0x9E37_79B9_7F4A_7C15 >> 33
        let isOlder = draw % UInt64(max(1, olderCount + youngerCount)) < UInt64(olderCount)
        let middle = isOlder || younger.count < 2 ? older.dropFirst().first : younger.first.map { Array($0) }
        return distinct([first, middle ?? all[1], last])
    }

    private static func distinct(_ texts: [[UInt8]]) -> [[UInt8]] {
        var result: [[UInt8]] = []
        for text in texts where !result.contains(text) { result.append(text) }
        return result
    }

    // MARK: Attributes

    private static func copy(_ view: AttributeSummaryView) -> Attribute {
        Attribute(
            key: Array(view.key),
            values: view.values.map { (Array($0.value), $0.count) },
            otherCount: view.otherCount,
            distinctCount: view.distinctCount,
            numbers: view.numbers
        )
    }

    /// Values that both sides kept are added up; of all, the most frequent stay and the rest counts as other. How many
    /// different ones there were is then a lower bound: which of the others were the same is not known any more.
    private static func add(_ view: AttributeSummaryView, to attributes: inout [Attribute]) {
        guard let index = attributes.firstIndex(where: { $0.key.elementsEqual(view.key) }) else {
            if attributes.count < Limits.attributeCountMax { attributes.append(copy(view)) }
            return
        }
        var merged = attributes[index]
        for (value, count) in view.values {
            if let place = merged.values.firstIndex(where: { $0.value.elementsEqual(value) }) {
                merged.values[place].count += count
            } else {
                merged.values.append((Array(value), count))
            }
        }
        let differentCount = merged.values.count
        merged.otherCount += view.otherCount
        if differentCount > Limits.attributeValueCountMax {
            // By count, then by text: the same whatever the order they came in.
            merged.values.sort {
                $0.count != $1.count ? $0.count > $1.count : $0.value.lexicographicallyPrecedes($1.value)
            }
            for dropped in merged.values[Limits.attributeValueCountMax...] { merged.otherCount += dropped.count }
            merged.values.removeSubrange(Limits.attributeValueCountMax...)
        }
        merged.distinctCount = max(merged.distinctCount, view.distinctCount, differentCount)
        if let numbers = view.numbers {
            merged.numbers =
                merged.numbers.map {
                    AttributeNumbers(
                        count: $0.count + numbers.count,
                        minimum: min($0.minimum, numbers.minimum),
                        maximum: max($0.maximum, numbers.maximum)
                    )
                } ?? numbers
        }
        attributes[index] = merged
    }

    // MARK: Writing

    private static func write(_ entry: Series, to writer: inout BatchWriter) {
        withViews(entry) { template, source, host, tenant, dashboard in
            writer.beginSeries(
                templateID: entry.templateID,
                severity: entry.severity,
                classification: entry.classification,
                template: template,
                source: source,
                host: host,
                tenant: tenant,
                dashboard: dashboard,
                count: entry.count,
                firstSeen: entry.firstSeen,
                lastSeen: entry.lastSeen,
                latency: entry.latency
            )
        }
        writer.append(UInt64(entry.samples.count))
        for sample in entry.samples { sample.withUnsafeBufferPointer { writer.append($0) } }
        writer.append(UInt64(entry.attributes.count))
        for attribute in entry.attributes {
            attribute.key.withUnsafeBufferPointer { key in
                writer.beginAttribute(
                    key: key,
                    otherCount: attribute.otherCount,
                    distinctCount: attribute.distinctCount,
                    numbers: attribute.numbers,
                    valueCount: attribute.values.count
                )
            }
            for (value, count) in attribute.values {
                value.withUnsafeBufferPointer { writer.append($0) }
                writer.append(UInt64(count))
            }
        }
    }

    private static func withViews(
        _ entry: Series,
        _ body: (ByteView, ByteView, ByteView, ByteView, ByteView) -> Void
    ) {
        entry.template.withUnsafeBufferPointer { template in
            entry.names[0].withUnsafeBufferPointer { source in
                entry.names[1].withUnsafeBufferPointer { host in
                    entry.names[2].withUnsafeBufferPointer { tenant in
                        entry.names[3].withUnsafeBufferPointer { body(template, source, host, tenant, $0) }
                    }
                }
            }
        }
    }
}
