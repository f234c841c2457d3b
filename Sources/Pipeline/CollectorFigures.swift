package import LogModel
internal import Patterns

// What the collector is made of and how much it has seen, as `/stats` and `/metrics` show it.
extension Collector {
    package var memoryLimit: Int { configuration.memoryLimit }
    package var durableLevel: Severity? { configuration.durableLevel }
    package var batchSize: Int { configuration.batchSize }
    package var window: Duration { configuration.window }
    package var templateCount: Int { aggregator.templateCount }
    package var templateEvictionCount: Int { aggregator.templateEvictionCount }
    package var overflowCount: Int { aggregator.overflowCount }
    package var mergeCount: Int { aggregator.mergeCount }
    package var templateLearnedCount: Int { aggregator.templateLearnedCount }
    package var redactionCount: Int { aggregator.redactionCount }
    package var suppressedCount: Int { aggregator.suppressedCount }
    package var suppressed: SuppressedSeries { aggregator.suppressed }
    /// The templates known, to be kept for the next process.
    package var catalogue: [UInt8] { aggregator.catalogue() }
    package var openRecordCount: Int { aggregator.recordCount }
    package var openSeriesCount: Int { aggregator.seriesCount }
}
