import java.util.Properties

import org.apache.kafka.common.TopicPartition
import org.apache.kafka.streams.KafkaStreams
import org.apache.kafka.streams.processor.{StandbyUpdateListener, StateRestoreListener}
import org.apache.kafka.streams.scala.ImplicitConversions._
import org.apache.kafka.streams.scala.StreamsBuilder
import org.apache.kafka.streams.scala.kstream.Materialized
import org.apache.kafka.streams.scala.serialization.Serdes._

/** Counts words: lines in, the count of a word out whenever it comes.
  *
  * `WordCount INPUT OUTPUT key=value...`, the rest being the configuration of Kafka Streams. It tells its states,
  * what its stores were restored from and what standby tasks have read, a line each, and ends at SIGTERM.
  */
object WordCount {
  def main(args: Array[String]): Unit = {
    val builder = new StreamsBuilder
    builder
      .stream[String, String](args(0))
      .flatMapValues(line => line.toLowerCase.split("\\W+").filter(_.nonEmpty).toList)
      .groupBy((_, word) => word)
      .count()(Materialized.as("counts-store"))
      .toStream
      .to(args(1))

    val settings = new Properties
    args.drop(2).map(_.split("=", 2)).foreach(pair => settings.put(pair(0), pair(1)))
    val streams = new KafkaStreams(builder.build(), settings)
    streams.setStateListener((now, _) => say(s"state $now"))
    streams.setGlobalStateRestoreListener(Restoring)
    streams.setStandbyUpdateListener(Standby)
    sys.addShutdownHook {
      streams.close()
      say("closed")
    }
    streams.start()
  }

  private def say(line: String): Unit = synchronized {
    println(line)
    Console.flush()
  }

  private object Restoring extends StateRestoreListener {
    def onRestoreStart(partition: TopicPartition, store: String, first: Long, end: Long): Unit = ()

    def onBatchRestored(partition: TopicPartition, store: String, end: Long, count: Long): Unit = ()

    def onRestoreEnd(partition: TopicPartition, store: String, total: Long): Unit = say(s"restored $total")
  }

  private object Standby extends StandbyUpdateListener {
    def onUpdateStart(partition: TopicPartition, store: String, first: Long): Unit = ()

    def onBatchLoaded(
        partition: TopicPartition,
        store: String,
        task: org.apache.kafka.streams.processor.TaskId,
        last: Long,
        size: Long,
        end: Long
    ): Unit = say(s"standby $size")

    def onUpdateSuspended(
        partition: TopicPartition,
        store: String,
        offset: Long,
        end: Long,
        reason: StandbyUpdateListener.SuspendReason
    ): Unit = ()
  }
}
