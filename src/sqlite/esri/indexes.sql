-- The indexes and triggers of the system tables, which are made when the rows are in.

CREATE TRIGGER st_insert_trigger_GDB_Items_Shape AFTER INSERT ON GDB_Items FOR EACH ROW BEGIN SELECT InsertIndexEntry ('st_spindex__GDB_Items_Shape',NEW.Shape,NEW._ROWID_,2); END;
CREATE TRIGGER st_delete_trigger_GDB_Items_Shape AFTER DELETE ON GDB_Items FOR EACH ROW BEGIN DELETE FROM st_spindex__GDB_Items_Shape WHERE pkid = OLD._ROWID_; END;
CREATE TRIGGER st_update_trigger_GDB_Items_Shape AFTER UPDATE OF Shape ON GDB_Items WHEN OLD._ROWID_ = NEW._ROWID_ BEGIN SELECT UpdateIndexEntry ('st_spindex__GDB_Items_Shape',NEW.Shape,NEW._ROWID_,2); END;
CREATE TRIGGER st_update1_trigger_GDB_Items_Shape AFTER UPDATE OF Shape ON GDB_Items WHEN OLD._ROWID_ != NEW._ROWID_ BEGIN DELETE FROM st_spindex__GDB_Items_Shape WHERE pkid = OLD._ROWID_; SELECT UpdateIndexEntry ('st_spindex__GDB_Items_Shape',NEW.Shape,NEW._ROWID_,2); END;
CREATE INDEX Items_Type_idx on GDB_Items (Type ASC);
CREATE INDEX Items_Name_idx on GDB_Items (Name ASC);
CREATE INDEX Items_PhysicalName_idx on GDB_Items (PhysicalName ASC);
CREATE INDEX GDB_ItemRel_Type_idx on GDB_ItemRelationships (Type ASC);
CREATE INDEX GDB_ItemRel_OriginID_idx on GDB_ItemRelationships (OriginID ASC);
CREATE INDEX GDB_ItemRel_DestID_idx on GDB_ItemRelationships (DestID ASC);
CREATE INDEX ItemTypes_Name_idx on GDB_ItemTypes (Name ASC);
CREATE INDEX ItemTypes_ParentTypeID_idx on GDB_ItemTypes (ParentTypeID ASC);
CREATE INDEX ItmRTypes_Name_idx on GDB_ItemRelationshipTypes (Name ASC);
CREATE INDEX ItmRTypes_ForwardLabel_idx on GDB_ItemRelationshipTypes (ForwardLabel ASC);
CREATE INDEX ItmRTypes_BackwardLabel_idx on GDB_ItemRelationshipTypes (BackwardLabel ASC);
CREATE INDEX ItmRTypes_OrigItemTypeID_idx on GDB_ItemRelationshipTypes (OrigItemTypeID ASC);
CREATE INDEX ItmRTypes_DestItemTypeID_idx on GDB_ItemRelationshipTypes (DestItemTypeID ASC);
