-- The system tables of a mobile geodatabase of level 10.4.1, as genuine files define them, and those of their rows that are
-- the same in every file.

CREATE TABLE GDB_Version (major           int32 primary key not null,minor           int32 not null,bugfix          int32 not null,description     text(96) not null,release         int32 not null,sdesvr_rel_low  int32 not null);
CREATE TABLE st_aux_spatial_reference_systems (srid           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, auth_name      TEXT(256), auth_srid      INT32, srtext         TEXT(2048), falsex         FLOAT64 NOT NULL, falsey         FLOAT64 NOT NULL, xyunits        FLOAT64 NOT NULL, falsez         FLOAT64 DEFAULT 0.0, zunits         FLOAT64 DEFAULT 1.0, falsem         FLOAT64 DEFAULT 0.0, munits         FLOAT64 DEFAULT 1.0, xycluster_tol  FLOAT64, zcluster_tol   FLOAT64, mcluster_tol   FLOAT64, object_flags   INT32 DEFAULT 1);
CREATE TABLE st_geometry_columns (gcid               INTEGER PRIMARY KEY AUTOINCREMENT, f_table_name       CLOB NOT NULL, f_geometry_column  CLOB NOT NULL, geometry_type      INT32, coord_dimension    INT32, srid               INTEGER NOT NULL, spatial_index_type CLOB,CONSTRAINT gc_uk UNIQUE (f_table_name,f_geometry_column));
CREATE TABLE GDB_Layers (layer_id        INTEGER PRIMARY KEY AUTOINCREMENT,description     TEXT(65),table_name      TEXT(128) NOT NULL,spatial_column  TEXT(128) NOT NULL,eflags          INT32 NOT NULL,layer_mask      INT32 NOT NULL,minx            FLOAT64 NOT NULL,miny            FLOAT64 NOT NULL,maxx            FLOAT64 NOT NULL,maxy            FLOAT64 NOT NULL,minz            FLOAT64,minm            FLOAT64,maxz            FLOAT64,maxm            FLOAT64,cdate           INT64 NOT NULL,minimum_id      INT64,srid            INTEGER NOT NULL,base_layer_id   INTEGER NOT NULL,CONSTRAINT layer_uk UNIQUE (table_name,spatial_column));
CREATE TABLE GDB_Metadata (record_id       INTEGER PRIMARY KEY AUTOINCREMENT,object_name     TEXT(160) NOT NULL,object_type     INT32 NOT NULL,class_name      TEXT(32),property        TEXT(32),prop_value      TEXT(255),description     TEXT(65),creation_date   realdate);
CREATE TABLE GDB_TableRegistry (registration_id    INTEGER PRIMARY KEY AUTOINCREMENT,table_name         TEXT(128) NOT NULL UNIQUE,rowid_column       TEXT(32),description        TEXT(65),object_flags       INT32 NOT NULL,registration_date  INT64 NOT NULL,minimum_id         INT64);
CREATE TABLE GDB_Locators (locator_id    INTEGER PRIMARY KEY AUTOINCREMENT,name          TEXT(32) NOT NULL UNIQUE,category      TEXT(32) NOT NULL,type          INT32 NOT NULL,description   TEXT(65));
CREATE TABLE GDB_ColumnRegistry (table_name         TEXT(128) NOT NULL,column_name        TEXT(32) NOT NULL,sde_type           INT32 NOT NULL,column_size        INT32,decimal_digits     INT32,description        TEXT(65),object_flags       INT32 NOT NULL,object_id          INT32,CONSTRAINT colregistry_pk PRIMARY KEY (table_name,column_name));
CREATE TABLE GDB_TablesModified (table_name          text(32) not null,time_last_modified  int64);
CREATE TABLE GDB_RowidGenerators (registration_id   int32 not null,base_id           int32 not null,num_ids           int32 not null,last_id           int32,CONSTRAINT GDB_RowidGenerators_pk PRIMARY KEY (registration_id,base_id));
CREATE TABLE GDB_Tables_Last_Modified (table_name text(160) check(typeof(table_name) = 'text' and not length(table_name) > 160) not null unique, last_modified_count int32 check(typeof(last_modified_count) = 'integer' and last_modified_count >= -2147483648 and last_modified_count <= 2147483647) not null);
CREATE TABLE GDB_Items (ObjectID integer primary key not null, UUID uuidtext check(typeof(UUID) = 'text' and length(UUID) = 38) not null unique, Type uuidtext check(typeof(Type) = 'text' and length(Type) = 38) not null, Name text(226) check((typeof(Name) = 'text' or typeof(Name) = 'null') and not length(Name) > 226), PhysicalName text(226) check((typeof(PhysicalName) = 'text' or typeof(PhysicalName) = 'null') and not length(PhysicalName) > 226), Path text(512) check((typeof(Path) = 'text' or typeof(Path) = 'null') and not length(Path) > 512), Url text(255) check((typeof(Url) = 'text' or typeof(Url) = 'null') and not length(Url) > 255), Properties int32 check((typeof(Properties) = 'integer' or typeof(Properties) = 'null') and Properties >= -2147483648 and Properties <= 2147483647), Defaults blob(52428800) check((typeof(Defaults) = 'blob' or typeof(Defaults) = 'null') and not length(Defaults) > 52428800), DatasetSubtype1 int32 check((typeof(DatasetSubtype1) = 'integer' or typeof(DatasetSubtype1) = 'null') and DatasetSubtype1 >= -2147483648 and DatasetSubtype1 <= 2147483647), DatasetSubtype2 int32 check((typeof(DatasetSubtype2) = 'integer' or typeof(DatasetSubtype2) = 'null') and DatasetSubtype2 >= -2147483648 and DatasetSubtype2 <= 2147483647), DatasetInfo1 text(255) check((typeof(DatasetInfo1) = 'text' or typeof(DatasetInfo1) = 'null') and not length(DatasetInfo1) > 255), DatasetInfo2 text(255) check((typeof(DatasetInfo2) = 'text' or typeof(DatasetInfo2) = 'null') and not length(DatasetInfo2) > 255), Definition xmltext check(typeof(Definition) = 'text' or typeof(Definition) = 'null'), Documentation xmltext check(typeof(Documentation) = 'text' or typeof(Documentation) = 'null'), ItemInfo xmltext check(typeof(ItemInfo) = 'text' or typeof(ItemInfo) = 'null'), Shape geometryblob check((typeof(Shape) = 'blob' and length(Shape) >= 18 and cast(hex(substr(Shape,1,1)) as integer) = 64) or typeof(Shape) = 'null'));
CREATE TABLE GDB_ItemRelationships (ObjectID integer primary key not null, UUID uuidtext check(typeof(UUID) = 'text' and length(UUID) = 38) not null unique, Type uuidtext check(typeof(Type) = 'text' and length(Type) = 38) not null, OriginID uuidtext check(typeof(OriginID) = 'text' and length(OriginID) = 38) not null, DestID uuidtext check(typeof(DestID) = 'text' and length(DestID) = 38) not null, Properties int32 check((typeof(Properties) = 'integer' or typeof(Properties) = 'null') and Properties >= -2147483648 and Properties <= 2147483647), Attributes xmltext check(typeof(Attributes) = 'text' or typeof(Attributes) = 'null'));
CREATE TABLE GDB_ItemTypes (ObjectID integer primary key not null, UUID uuidtext check(typeof(UUID) = 'text' and length(UUID) = 38) not null unique, Name text(226) check(typeof(Name) = 'text' and not length(Name) > 226) not null, ParentTypeID uuidtext check(typeof(ParentTypeID) = 'text' and length(ParentTypeID) = 38) not null);
CREATE TABLE GDB_ItemRelationshipTypes (ObjectID integer primary key not null, UUID uuidtext check(typeof(UUID) = 'text' and length(UUID) = 38) not null unique, Name text(226) check(typeof(Name) = 'text' and not length(Name) > 226) not null, ForwardLabel text(226) check((typeof(ForwardLabel) = 'text' or typeof(ForwardLabel) = 'null') and not length(ForwardLabel) > 226), BackwardLabel text(226) check((typeof(BackwardLabel) = 'text' or typeof(BackwardLabel) = 'null') and not length(BackwardLabel) > 226), OrigItemTypeID uuidtext check(typeof(OrigItemTypeID) = 'text' and length(OrigItemTypeID) = 38) not null, DestItemTypeID uuidtext check(typeof(DestItemTypeID) = 'text' and length(DestItemTypeID) = 38) not null, IsContainment int16 check((typeof(IsContainment) = 'integer' or typeof(IsContainment) = 'null') and IsContainment >= -32768 and IsContainment <= 32767));
CREATE TABLE GDB_ReplicaLog (ID integer primary key not null, ReplicaID int32 check(typeof(ReplicaID) = 'integer' and ReplicaID >= -2147483648 and ReplicaID <= 2147483647) not null, Event int32 check(typeof(Event) = 'integer' and Event >= -2147483648 and Event <= 2147483647) not null, ErrorCode int32 check(typeof(ErrorCode) = 'integer' and ErrorCode >= -2147483648 and ErrorCode <= 2147483647) not null, LogDate realdate check(typeof(LogDate) = 'real' and LogDate >= 0.0) not null, SourceBeginGen int32 check(typeof(SourceBeginGen) = 'integer' and SourceBeginGen >= -2147483648 and SourceBeginGen <= 2147483647) not null, SourceEndGen int32 check(typeof(SourceEndGen) = 'integer' and SourceEndGen >= -2147483648 and SourceEndGen <= 2147483647) not null, TargetGen int32 check(typeof(TargetGen) = 'integer' and TargetGen >= -2147483648 and TargetGen <= 2147483647) not null);
CREATE TABLE GDB_ServiceItems (OBJECTID integer primary key not null, ItemType int16 check(typeof(ItemType) = 'integer' and ItemType >= -32768 and ItemType <= 32767) not null, ItemInfo text(100000000) check(typeof(ItemInfo) = 'text' and not length(ItemInfo) > 100000000) not null, ItemId int32 check(typeof(ItemId) = 'integer' and ItemId >= -2147483648 and ItemId <= 2147483647) not null, DatasetName text(1024) check(typeof(DatasetName) = 'text' and not length(DatasetName) > 1024) not null, AdvancedDrawingInfo text(100000000) check((typeof(AdvancedDrawingInfo) = 'text' or typeof(AdvancedDrawingInfo) = 'null') and not length(AdvancedDrawingInfo) > 100000000));
CREATE VIRTUAL TABLE st_spindex__GDB_Items_Shape USING RTREE (pkid,minx,maxx,miny,maxy);

INSERT INTO GDB_Version VALUES (10,4,1,'10.4.1 Geodatabase',104002,93001);
INSERT INTO st_aux_spatial_reference_systems VALUES
(300000,'ESRI',300000,'UNKNOWN',-450359962737.05,-450359962737.05,10000.0,0.0,1.0,0.0,1.0,NULL,NULL,NULL,1);
INSERT INTO GDB_Tables_Last_Modified VALUES
('GDB_ITEMS',0),
('GDB_ITEMRELATIONSHIPS',0),
('GDB_ITEMTYPES',0),
('GDB_ITEMRELATIONSHIPTYPES',0),
('GDB_REPLICALOG',0);
INSERT INTO GDB_ItemTypes VALUES
(1,'{8405ADD5-8DF8-4227-8FAC-3FCADE073386}','Item','{00000000-0000-0000-0000-000000000000}'),
(2,'{F3783E6F-65CA-4514-8315-CE3985DAD3B1}','Folder','{8405ADD5-8DF8-4227-8FAC-3FCADE073386}'),
(3,'{FFD09C28-FE70-4E25-907C-AF8E8A5EC5F3}','Resource','{8405ADD5-8DF8-4227-8FAC-3FCADE073386}'),
(4,'{28DA9E89-FF80-4D6D-8926-4EE2B161677D}','Dataset','{FFD09C28-FE70-4E25-907C-AF8E8A5EC5F3}'),
(5,'{FBDD7DD6-4A25-40B7-9A1A-ECC3D1172447}','Tin','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(6,'{D4912162-3413-476E-9DA4-2AEFBBC16939}','AbstractTable','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(7,'{B606A7E1-FA5B-439C-849C-6E9C2481537B}','Relationship Class','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(8,'{74737149-DCB5-4257-8904-B9724E32A530}','Feature Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(9,'{73718A66-AFB9-4B88-A551-CFFA0AE12620}','Geometric Network','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(10,'{767152D3-ED66-4325-8774-420D46674E07}','Topology','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(11,'{E6302665-416B-44FA-BE33-4E15916BA101}','Survey Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(12,'{D5A40288-029E-4766-8C81-DE3F61129371}','Schematic Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(13,'{DB1B697A-3BB6-426A-98A2-6EE7A4C6AED3}','Toolbox','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(14,'{C673FE0F-7280-404F-8532-20755DD8FC06}','Workspace','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(15,'{DC9EF677-1AA3-45A7-8ACD-303A5202D0DC}','Workspace Extension','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(16,'{77292603-930F-475D-AE4F-B8970F42F394}','Extension Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(17,'{8637F1ED-8C04-4866-A44A-1CB8288B3C63}','Domain','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(18,'{4ED4A58E-621F-4043-95ED-850FBA45FCBC}','Replica','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(19,'{D98421EB-D582-4713-9484-43304D0810F6}','Replica Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(20,'{DC64B6E4-DC0F-43BD-B4F5-F22385DCF055}','Historical Marker','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(21,'{CD06BC3B-789D-4C51-AAFA-A467912B8965}','Table','{D4912162-3413-476E-9DA4-2AEFBBC16939}'),
(22,'{70737809-852C-4A03-9E22-2CECEA5B9BFA}','Feature Class','{D4912162-3413-476E-9DA4-2AEFBBC16939}'),
(23,'{5ED667A3-9CA9-44A2-8029-D95BF23704B9}','Raster Dataset','{D4912162-3413-476E-9DA4-2AEFBBC16939}'),
(24,'{35B601F7-45CE-4AFF-ADB7-7702D3839B12}','Raster Catalog','{D4912162-3413-476E-9DA4-2AEFBBC16939}'),
(25,'{7771FC7D-A38B-4FD3-8225-639D17E9A131}','Network Dataset','{77292603-930F-475D-AE4F-B8970F42F394}'),
(26,'{76357537-3364-48AF-A4BE-783C7C28B5CB}','Terrain','{77292603-930F-475D-AE4F-B8970F42F394}'),
(27,'{A3803369-5FC2-4963-BAE0-13EFFC09DD73}','Parcel Fabric','{77292603-930F-475D-AE4F-B8970F42F394}'),
(28,'{A300008D-0CEA-4F6A-9DFA-46AF829A3DF2}','Representation Class','{77292603-930F-475D-AE4F-B8970F42F394}'),
(29,'{787BEA35-4A86-494F-BB48-500B96145B58}','Catalog Dataset','{77292603-930F-475D-AE4F-B8970F42F394}'),
(30,'{F8413DCB-2248-4935-BFE9-315F397E5110}','Mosaic Dataset','{77292603-930F-475D-AE4F-B8970F42F394}'),
(31,'{8C368B12-A12E-4C7E-9638-C9C64E69E98F}','Coded Value Domain','{8637F1ED-8C04-4866-A44A-1CB8288B3C63}'),
(32,'{C29DA988-8C3E-45F7-8B5C-18E51EE7BEB4}','Range Domain','{8637F1ED-8C04-4866-A44A-1CB8288B3C63}'),
(33,'{5B966567-FB87-4DDE-938B-B4B37423539D}','Sync Replica','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}'),
(34,'{D86502F9-9758-45C6-9D23-6DD1A0107B47}','Sync Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}');
INSERT INTO GDB_ItemRelationshipTypes VALUES
(1,'{0D10B3A7-2F64-45E6-B7AC-2FC27BF2133C}','FolderInFolder','Parent Folder Of','Child Folder Of','{F3783E6F-65CA-4514-8315-CE3985DAD3B1}','{F3783E6F-65CA-4514-8315-CE3985DAD3B1}',1),
(2,'{5DD0C1AF-CB3D-4FEA-8C51-CB3BA8D77CDB}','ItemInFolder','Contains Item','Contained In Folder','{F3783E6F-65CA-4514-8315-CE3985DAD3B1}','{8405ADD5-8DF8-4227-8FAC-3FCADE073386}',1),
(3,'{A1633A59-46BA-4448-8706-D8ABE2B2B02E}','DatasetInFeatureDataset','Contains Dataset','Contained In FeatureDataset','{74737149-DCB5-4257-8904-B9724E32A530}','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}',1),
(4,'{DC78F1AB-34E4-43AC-BA47-1C4EABD0E7C7}','DatasetInFolder','Contains Dataset','Contained in Dataset','{F3783E6F-65CA-4514-8315-CE3985DAD3B1}','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}',1),
(5,'{17E08ADB-2B31-4DCD-8FDD-DF529E88F843}','DomainInDataset','Contains Domain','Contained in Dataset','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}','{8637F1ED-8C04-4866-A44A-1CB8288B3C63}',0),
(6,'{725BADAB-3452-491B-A795-55F32D67229C}','DatasetsRelatedThrough','Origin Of','Destination Of','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}',0),
(7,'{D088B110-190B-4229-BDF7-89FDDD14D1EA}','FeatureClassInTopology','Spatially Manages Feature Class','Participates In Topology','{767152D3-ED66-4325-8774-420D46674E07}','{70737809-852C-4A03-9E22-2CECEA5B9BFA}',0),
(8,'{DC739A70-9B71-41E8-868C-008CF46F16D7}','FeatureClassInGeometricNetwork','Spatially Manages Feature Class','Participates In Geometric Network','{73718A66-AFB9-4B88-A551-CFFA0AE12620}','{70737809-852C-4A03-9E22-2CECEA5B9BFA}',0),
(9,'{B32B8563-0B96-4D32-92C4-086423AE9962}','FeatureClassInNetworkDataset','Spatially Manages Feature Class','Participates In Network Dataset','{7771FC7D-A38B-4FD3-8225-639D17E9A131}','{70737809-852C-4A03-9E22-2CECEA5B9BFA}',0),
(10,'{55D2F4DC-CB17-4E32-A8C7-47591E8C71DE}','FeatureClassInTerrain','Spatially Manages Feature Class','Participates In Terrain','{76357537-3364-48AF-A4BE-783C7C28B5CB}','{70737809-852C-4A03-9E22-2CECEA5B9BFA}',0),
(11,'{583A5BAA-3551-41AE-8AA8-1185719F3889}','FeatureClassInParcelFabric','Spatially Manages Feature Class','Participates In Parcel Fabric','{A3803369-5FC2-4963-BAE0-13EFFC09DD73}','{70737809-852C-4A03-9E22-2CECEA5B9BFA}',0),
(12,'{5F9085E0-788F-4354-AE3C-34C83A7EA784}','TableInParcelFabric','Manages Table','Participates In Parcel Fabric','{A3803369-5FC2-4963-BAE0-13EFFC09DD73}','{CD06BC3B-789D-4C51-AAFA-A467912B8965}',0),
(13,'{E79B44E3-F833-4B12-90A1-364EC4DDC43E}','RepresentationOfFeatureClass','Feature Class Representation','Represented Feature Class','{70737809-852C-4A03-9E22-2CECEA5B9BFA}','{A300008D-0CEA-4F6A-9DFA-46AF829A3DF2}',0),
(14,'{8DB31AF1-DF7C-4632-AA10-3CC44B0C6914}','ReplicaDatasetInReplica','Replicated Dataset','Participates In Replica','{4ED4A58E-621F-4043-95ED-850FBA45FCBC}','{D98421EB-D582-4713-9484-43304D0810F6}',1),
(15,'{D022DE33-45BD-424C-88BF-5B1B6B957BD3}','DatasetOfReplicaDataset','Replicated Dataset','Dataset of Replicated Dataset','{D98421EB-D582-4713-9484-43304D0810F6}','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}',0),
(16,'{CC28387C-441F-4D7C-A802-41A160317FE0}','SyncDatasetInSyncReplica','Sync Dataset','Participates In Sync Replica','{5B966567-FB87-4DDE-938B-B4B37423539D}','{D86502F9-9758-45C6-9D23-6DD1A0107B47}',1),
(17,'{79CC71C8-B7D9-4141-9014-B6373E236ABB}','DatasetOfSyncDataset','Replicated Dataset','Dataset Of Sync Dataset','{D86502F9-9758-45C6-9D23-6DD1A0107B47}','{28DA9E89-FF80-4D6D-8926-4EE2B161677D}',0);
INSERT INTO GDB_ColumnRegistry VALUES
('GDB_Tables_Last_Modified','table_name',5,160,NULL,NULL,0,NULL),
('GDB_Tables_Last_Modified','last_modified_count',2,0,NULL,NULL,0,NULL),
('GDB_Items','ObjectID',2,0,NULL,NULL,3,NULL),
('GDB_Items','UUID',12,38,NULL,NULL,256,NULL),
('GDB_Items','Type',12,38,NULL,NULL,0,NULL),
('GDB_Items','Name',5,226,NULL,NULL,4,NULL),
('GDB_Items','PhysicalName',5,226,NULL,NULL,4,NULL),
('GDB_Items','Path',5,512,NULL,NULL,4,NULL),
('GDB_Items','Url',5,255,NULL,NULL,4,NULL),
('GDB_Items','Properties',2,0,NULL,NULL,4,NULL),
('GDB_Items','Defaults',6,NULL,NULL,NULL,4,NULL),
('GDB_Items','DatasetSubtype1',2,0,NULL,NULL,4,NULL),
('GDB_Items','DatasetSubtype2',2,0,NULL,NULL,4,NULL),
('GDB_Items','DatasetInfo1',5,255,NULL,NULL,4,NULL),
('GDB_Items','DatasetInfo2',5,255,NULL,NULL,4,NULL),
('GDB_Items','Definition',10,NULL,NULL,NULL,132,NULL),
('GDB_Items','Documentation',10,NULL,NULL,NULL,132,NULL),
('GDB_Items','ItemInfo',10,NULL,NULL,NULL,132,NULL),
('GDB_Items','Shape',8,NULL,NULL,NULL,32772,1),
('GDB_ItemRelationships','ObjectID',2,0,NULL,NULL,3,NULL),
('GDB_ItemRelationships','UUID',12,38,NULL,NULL,256,NULL),
('GDB_ItemRelationships','Type',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationships','OriginID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationships','DestID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationships','Properties',2,0,NULL,NULL,4,NULL),
('GDB_ItemRelationships','Attributes',10,NULL,NULL,NULL,132,NULL),
('GDB_ItemTypes','ObjectID',2,0,NULL,NULL,3,NULL),
('GDB_ItemTypes','UUID',12,38,NULL,NULL,0,NULL),
('GDB_ItemTypes','Name',5,226,NULL,NULL,0,NULL),
('GDB_ItemTypes','ParentTypeID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationshipTypes','ObjectID',2,0,NULL,NULL,3,NULL),
('GDB_ItemRelationshipTypes','UUID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationshipTypes','Name',5,226,NULL,NULL,0,NULL),
('GDB_ItemRelationshipTypes','ForwardLabel',5,226,NULL,NULL,4,NULL),
('GDB_ItemRelationshipTypes','BackwardLabel',5,226,NULL,NULL,4,NULL),
('GDB_ItemRelationshipTypes','OrigItemTypeID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationshipTypes','DestItemTypeID',12,38,NULL,NULL,0,NULL),
('GDB_ItemRelationshipTypes','IsContainment',1,0,NULL,NULL,4,NULL),
('GDB_ReplicaLog','ID',2,0,NULL,NULL,3,NULL),
('GDB_ReplicaLog','ReplicaID',2,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','Event',2,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','ErrorCode',2,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','LogDate',7,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','SourceBeginGen',2,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','SourceEndGen',2,0,NULL,NULL,0,NULL),
('GDB_ReplicaLog','TargetGen',2,0,NULL,NULL,0,NULL),
('GDB_ServiceItems','OBJECTID',2,0,NULL,NULL,3,NULL),
('GDB_ServiceItems','ItemType',1,0,NULL,NULL,0,NULL),
('GDB_ServiceItems','ItemInfo',13,NULL,NULL,NULL,0,NULL),
('GDB_ServiceItems','ItemId',2,0,NULL,NULL,0,NULL),
('GDB_ServiceItems','DatasetName',5,1024,NULL,NULL,0,NULL),
('GDB_ServiceItems','AdvancedDrawingInfo',13,NULL,NULL,NULL,4,NULL);
