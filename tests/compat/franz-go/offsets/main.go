// Reads __consumer_offsets with franz-go's own decoders, and says what is in it, a line for each record:
//
//	offset GROUP TOPIC PARTITION OFFSET METADATA
//	deleted GROUP TOPIC PARTITION
//	group GROUP PROTOCOL GENERATION MEMBER/CLIENT,...
//
// It ends when nothing more has come for two seconds, or nothing at all for a minute. What it cannot decode is an
// error.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Args[1]),
		kgo.ConsumeTopics("__consumer_offsets"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		fail(err)
	}
	defer client.Close()
	// Until the first record there is a connection to make, and all that a consumer asks before it fetches.
	patience := time.Minute
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		fetches := client.PollFetches(ctx)
		timeIsUp := ctx.Err() != nil
		cancel()
		if timeIsUp && fetches.NumRecords() == 0 {
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				fail(fmt.Errorf("%s %d: %w", topic, partition, err))
			}
		})
		if fetches.NumRecords() > 0 {
			patience = 2 * time.Second
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if err := tell(record); err != nil {
				fail(fmt.Errorf("partition %d, offset %d: %w", record.Partition, record.Offset, err))
			}
		})
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func tell(record *kgo.Record) error {
	switch kind := int16(binary.BigEndian.Uint16(record.Key)); kind {
	case 0, 1:
		return offset(record)
	case 2:
		return group(record)
	default:
		// Groups of the newer protocols: franz-go does not know their records.
		return nil
	}
}

func offset(record *kgo.Record) error {
	key := kmsg.NewOffsetCommitKey()
	if err := key.ReadFrom(record.Key); err != nil {
		return err
	}
	if record.Value == nil {
		fmt.Println("deleted", key.Group, key.Topic, key.Partition)
		return nil
	}
	value := kmsg.NewOffsetCommitValue()
	if err := value.ReadFrom(record.Value); err != nil {
		return err
	}
	fmt.Println("offset", key.Group, key.Topic, key.Partition, value.Offset, value.Metadata)
	return nil
}

func group(record *kgo.Record) error {
	key := kmsg.NewGroupMetadataKey()
	if err := key.ReadFrom(record.Key); err != nil {
		return err
	}
	if record.Value == nil {
		return nil
	}
	value := kmsg.NewGroupMetadataValue()
	if err := value.ReadFrom(record.Value); err != nil {
		return err
	}
	protocol := "-"
	if value.Protocol != nil {
		protocol = *value.Protocol
	}
	members := []string{}
	for _, member := range value.Members {
		members = append(members, member.MemberID+"/"+member.ClientID)
	}
	sort.Strings(members)
	fmt.Println("group", key.Group, protocol, value.Generation, strings.Join(members, ","))
	return nil
}
